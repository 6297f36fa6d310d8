"""What every test gets: the repository's and the shared folder's paths, and a log in which an ERROR is a failure."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from player.screen.offscreen import Offscreen
    from tests.drawn import Picture

REPO = Path(__file__).resolve().parents[1]
# A shell that starts the tests in its background has them ignore Ctrl-C, and the tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real films, cut lists and oracles beside the repository; tests that need it skip without it."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared (films, cut lists and oracles that the project does not ship)")
    return folder


class _Errors(logging.Handler):
    """Keeps every record at ERROR or above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_unexpected_error_in_the_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """An ERROR logged by 'cineml' fails the test, unless @pytest.mark.logs_error("part of its text") expects it; an
    expected one that never comes fails it too.

    A handler of its own on our logger, not caplog: the player's log setup may stop records on their way to the root.
    """
    expected = [str(text) for mark in request.node.iter_markers("logs_error") for text in mark.args]
    errors = _Errors()
    logger = logging.getLogger("cineml")
    logger.addHandler(errors)
    yield
    logger.removeHandler(errors)
    messages = [record.getMessage() for record in errors.records]
    unexpected = [m for m in messages if not any(text in m for text in expected)]
    assert not unexpected, f"the log holds errors that the test did not expect: {unexpected}"
    missing = [text for text in expected if not any(text in m for m in messages)]
    assert not missing, f"the log holds no error with {missing}; it holds {messages}"


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks as small as those of tests run faster on one of torch's threads, much faster beside other work, and the same
    every time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def screen() -> Iterator[Offscreen]:
    """A real GL context without a window; tests that need it skip where there is none."""
    from player.screen.offscreen import Offscreen
    from player.show.problem import ShowError

    try:
        made = Offscreen((400, 300), 30.0, realtime=False)
    except ShowError as e:
        pytest.skip(f"no offscreen GL here: {e}")
    yield made
    made.close()


@pytest.fixture
def picture(screen: Offscreen) -> Iterator[Callable[..., Picture]]:
    """Makes tests.drawn.Picture of a show with the given options, and lets them go at the end."""
    from tests.drawn import Picture, a_show

    made: list[Picture] = []

    def make(**options: object) -> Picture:
        made.append(Picture(screen, a_show(**options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for p in made:
        p.compositor.release()
        p.projector.release()
        p.target.release()

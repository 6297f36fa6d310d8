"""How a training command ends: what each end returns and says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

pytest.importorskip("torch")

from models.checkpoint import CheckpointError
from player.show.problem import Problem, ShowError
from tools.train_outcome import outcome


def ended(deed: Callable[[], int]) -> int:
    return outcome(deed, "cineml style train", "the painted frames are kept", "a smaller --batch")


def stopped_by(number: int) -> int:
    os.kill(os.getpid(), number)
    time.sleep(10)
    return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_step_says_what_is_kept(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert ended(lambda: stopped_by(number)) == 130
    assert "stopped; the painted frames are kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_bad_input_and_too_little_memory_are_one_sentence_and_what_is_neither_passes(
        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def raising(error: Exception) -> Callable[[], int]:
        def deed() -> int:
            raise error

        return deed

    for error, said in ((ShowError(Problem("--steps", "0", "1 or more")), "--steps"),
                        (CheckpointError("is torn"), "cineml style train: is torn"), (MemoryError(), "memory: ran out")):
        assert ended(raising(error)) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a bug"):
        ended(raising(RuntimeError("a bug")))
    assert ended(lambda: 0) == 0

"""How a training command ends: its exit code, and the sentence beside it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from models.checkpoint import CheckpointError
from player.show.problem import Problem, ShowError
from tools.train_machine import is_out_of_memory
from tools.train_run import STOPPED


@contextmanager
def stops_caught() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt meanwhile: a service manager's stop must keep a snapshot too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.default_int_handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outcome(deed: Callable[[], int], called: str, stopped: str, smaller: str) -> int:
    """What the deed returns; 2 with a sentence for bad input or too little memory, 130 with one after Ctrl-C or SIGTERM.
    called: the command's name. stopped: what is kept. smaller: what to try where memory ran out. Other errors pass."""
    try:
        with stops_caught():
            return deed()
    except ShowError as error:
        print(error, file=sys.stderr)
        return 2
    except CheckpointError as error:
        print(f"{called}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return STOPPED
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        hint = f"{smaller}; with --resume where a snapshot was made"
        print(Problem("memory", "ran out", "", hint), file=sys.stderr)
        return 2

"""How a training command ends: its exit code, and the sentence beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from models.checkpoint import CheckpointError
from player.show.problem import Problem, ShowError
from tools.train_machine import is_out_of_memory
from tools.train_run import STOPPED


def outcome(deed: Callable[[], int], called: str, stopped: str, smaller: str) -> int:
    """What the deed returns; 2 with a sentence for bad input or too little memory, 130 with one after Ctrl-C. called: the
    command's name. stopped: what is kept. smaller: what to try where memory ran out. Raises what is none of these."""
    try:
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

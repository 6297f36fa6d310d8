"""Ctrl-C in the middle of work, for the tests of what is kept of a run that was stopped."""

from __future__ import annotations

from typing import Any

import pytest


def ctrl_c_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int) -> list[int]:
    """Ctrl-C instead of the call of that number, from 1, of a function or method; all others go through. The list that is
    returned grows by one a call."""
    real, calls = getattr(owner, name), list[int]()

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(len(calls) + 1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls

"""The film: its picture file, its soundtrack, its exact rate and its length in frames; and time said in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# Digits are counted: Fraction("1e999999999") would fill the memory with zeros.
_RATE = re.compile(r"\d{1,9}(\.\d{1,9}|/\d{1,9})?", re.ASCII)
_DROP_FRAME_RATES = (Fraction(30000, 1001), Fraction(60000, 1001))


@dataclass(frozen=True)
class Film:
    """A film as the show knows it.

    path: the picture file, or None where the show needs none (test card). sound: the soundtrack, or None.
    rate: frames a second, exact. frames: its length. width, height: square pixels as projected.
    """

    rate: Fraction
    frames: int
    width: int
    height: int
    path: Path | None = None
    sound: Path | None = None

    @property
    def duration_s(self) -> Fraction:
        """Exact length in seconds."""
        return self.frames / self.rate

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


def parse_rate(text: str) -> Fraction:
    """'24', '24/1', '30000/1001' or '23.976' as an exact rate; the usual decimals mean their 1001 fractions.

    Raises ValueError for anything that is not a rate between 1 and 1000.
    """
    text = text.replace(" ", "")
    decimals = {"23.976": Fraction(24000, 1001), "23.98": Fraction(24000, 1001), "29.97": Fraction(30000, 1001),
                "47.95": Fraction(48000, 1001), "59.94": Fraction(60000, 1001)}
    try:
        if not _RATE.fullmatch(text):
            raise ValueError
        rate = decimals.get(text) or Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is not a frame rate like 24/1, 25 or 30000/1001") from None
    if not 1 <= rate <= 1000:
        raise ValueError(f"{text!r} is not between 1 and 1000 frames a second")
    return rate


def format_timecode(frame: int, rate: Fraction) -> str:
    """hh:mm:ss:ff of a frame, non-drop, counting round(rate) frames a second (SMPTE ST 12-1 without drop frame)."""
    base = round(rate)
    sign = "-" if frame < 0 else ""
    seconds, ff = divmod(abs(frame), base)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{ff:02d}"


def parse_timecode(text: str, rate: Fraction) -> int:
    """A frame from '300' or '300f' (frames), '12.5s' (seconds, rounded down to its frame) or 'hh:mm:ss:ff'.

    hh:mm:ss (no frames) and mm:ss are read too; ';' before the frames means drop frame (29.97 and 59.94 only).
    Raises ValueError with a sentence for a person.
    """
    text = text.strip()
    if re.fullmatch(r"\d+f?", text, re.ASCII):
        return int(text.rstrip("f"))
    if seconds := re.fullmatch(r"(\d+(?:\.\d+)?)s", text, re.ASCII):
        return int(Fraction(seconds[1]) * rate)
    if parts := re.fullmatch(r"(?:(?:(\d+):)?(\d+):(\d+)(?:([:;])(\d+))?)", text, re.ASCII):
        hours, minutes, secs, mark, ff = parts.groups()
        if hours is None and mark is not None:
            raise ValueError(f"{text!r} has no hours; write hh:mm:ss:ff")
        base = round(rate)
        if int(secs) > 59 or (hours is not None and int(minutes) > 59) or int(ff or 0) >= base:
            raise ValueError(f"{text!r} has a field out of range at {rate} frames a second")
        total_minutes = int(hours or 0) * 60 + int(minutes)
        frame = (total_minutes * 60 + int(secs)) * base + int(ff or 0)
        if mark == ";":
            if rate not in _DROP_FRAME_RATES:
                raise ValueError(f"{text!r} is drop-frame timecode, which exists at 29.97 and 59.94 only")
            if int(secs) == 0 and int(ff) < base // 15 and total_minutes % 10:
                raise ValueError(f"{text!r} is a number that drop-frame timecode leaves out")
            frame -= base // 15 * (total_minutes - total_minutes // 10)
        return frame
    raise ValueError(f"{text!r} is not a time; write frames (300), seconds (12.5s) or hh:mm:ss:ff")

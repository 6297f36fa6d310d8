"""Timecode as editors write it: drop frame or not, with the marks that tell them apart (SMPTE ST 12-1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

DROP_RATES = (Fraction(30000, 1001), Fraction(60000, 1001))
USUAL_RATES = tuple(Fraction(n) for n in (12, 15, 16, 18, 24, 25, 30, 48, 50, 60, 100, 120)) + tuple(
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))  # fmt: skip
_TIMECODE = re.compile(r"(\d{1,2})[:;.,](\d{1,2})[:;.,](\d{1,2})([:;.,])(\d{1,3})", re.ASCII)
NEAR = Fraction(1, 20_000)  # of a rate: 24 and 24000/1001 lie 20 times as far apart


@dataclass(frozen=True)
class Timecode:
    """A label hh:mm:ss:ff, not yet a frame: that takes a rate. drop: written with the mark of drop frame, ';' or ','."""

    text: str
    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool

    def frame(self, rate: Fraction, drop: bool = False) -> int:
        """Its frame from 00:00:00:00; drop: count as drop frame whatever its mark. Raises ValueError."""
        base = round(rate)
        if self.minutes > 59 or self.seconds > 59 or self.frames >= base:
            raise ValueError(f"{self.text} does not exist at {spoken(rate)} frames a second")
        total = self.hours * 60 + self.minutes
        number = (total * 60 + self.seconds) * base + self.frames
        if not (self.drop or drop):
            return number
        if rate not in DROP_RATES:
            raise ValueError(f"{self.text} is drop frame, which exists at 29.97 and 59.94 only, not at {spoken(rate)}")
        dropped = base // 15
        if self.seconds == 0 and self.frames < dropped and total % 10:
            raise ValueError(f"{self.text} is a number that drop frame leaves out")
        return number - dropped * (total - total // 10)


def read_timecode(text: str) -> Timecode | None:
    """The label that a text is, or None."""
    parts = _TIMECODE.fullmatch(text)
    if not parts:
        return None
    hours, minutes, seconds, mark, frames = parts.groups()
    return Timecode(text, int(hours), int(minutes), int(seconds), int(frames), mark in ";,")


def label_of(frame: int, rate: Fraction, drop: bool = False) -> str:
    """hh:mm:ss:ff of a frame, or hh:mm:ss;ff. Raises ValueError for drop frame at a rate that has none."""
    base = round(rate)
    mark = ":"
    if drop:
        if rate not in DROP_RATES:
            raise ValueError(f"drop frame exists at 29.97 and 59.94 only, not at {spoken(rate)}")
        mark, dropped = ";", base // 15
        minute, ten = 60 * base - dropped, 600 * base - 9 * dropped
        tens, rest = divmod(frame, ten)
        frame += dropped * (9 * tens + (1 + (rest - 60 * base) // minute if rest >= 60 * base else 0))
    seconds, ff = divmod(frame, base)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{ff:02d}"


def exact_rate(given: float | int | Fraction) -> Fraction | None:
    """The exact rate that a file's figure means: 23.976 and 29.97 are 1001 fractions. None where it is no rate."""
    try:
        rate = Fraction(given)
    except (ValueError, OverflowError, TypeError):
        return None
    if not 1 <= rate <= 1000:
        return None
    for usual in USUAL_RATES:
        if abs(rate / usual - 1) < NEAR:
            return usual
    # 23.98, as people round it, lies further off than any whole number does.
    rounded = {Fraction(2398, 100): Fraction(24000, 1001), Fraction(4795, 100): Fraction(48000, 1001)}
    near = rate.limit_denominator(1001)
    for text, meant in rounded.items():
        if abs(rate - text) < Fraction(1, 1000):
            return meant
    return near if abs(rate / near - 1) < NEAR and 1 <= near <= 1000 else rate.limit_denominator(100_000)


def ntsc_parts(rate: Fraction) -> tuple[int, bool] | None:
    """(timebase, whether it runs 1000/1001 slow), as XML files hold a rate; None for one that they cannot."""
    if rate.denominator == 1:
        return rate.numerator, False
    slow = rate * 1001 / 1000
    return (slow.numerator, True) if slow.denominator == 1 else None


def spoken(rate: Fraction) -> str:
    """A rate for a person: 24, 25, 23.976, 29.97 or N/D."""
    decimals = {Fraction(24000, 1001): "23.976", Fraction(30000, 1001): "29.97", Fraction(48000, 1001): "47.95",
                Fraction(60000, 1001): "59.94"}  # fmt: skip
    return decimals.get(rate) or str(rate)

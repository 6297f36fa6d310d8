"""Fades: stretches in which the picture goes to black or white and another comes from it.

Found from frames that show nothing (flat), and at hard cuts whose sides grow dark or bright: a fade whose last frame is not
quite black leaves no flat frame. How long a fade is follows from how far the picture still is from the flat tone, frame by
frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.cuts_hard import GOES_ON, over_gap, sure_over_gap
from tools.cuts_signal import BLACK_Y, WHITE_Y, Numbers, Signals
from tools.cuts_transition import Ends, Rejected, Transition

LEAST_RAMP = 3  # frames; shorter is a hard cut to black
LEAST_BLACK = 6  # frames of black between hard cuts that make a shot of their own
MOST_BLACK_S = 2.0  # of black between fades; longer, and the black is a shot of its own
MOST_RAMP_S = 8.0
LEFT_OVER = 0.6  # of the picture at the fade's last frame; 3 frames in linear light leave 0.53


@dataclass(frozen=True)
class Ramp:
    """A fade on one side of a place: frames [start, end), colour; 0 frames where there is none."""

    start: int
    end: int
    colour: str = ""

    @property
    def frames(self) -> int:
        return self.end - self.start


def fades(s: Signals, cuts: Sequence[Transition], rate: float, at_start: bool, at_end: bool,
          ) -> tuple[list[Transition], list[Transition], list[Rejected], Ends]:  # fmt: skip
    """(fades; the hard cuts that are left, those with faded sides among them; rejected; the film's own ends).

    at_start, at_end: whether the signals begin and end where the film does.
    """
    found: list[Transition] = []
    rejected: list[Rejected] = []
    ends = Ends()
    owned: list[tuple[int, int]] = []
    edges = [c.frame for c in cuts]
    for b0, b1 in flat_runs(s):
        tone = float(s.mean[b0:b1].mean())
        colour = "white" if tone > (BLACK_Y + WHITE_Y) / 2 else "black"
        before = _ramp_out(s, b0, tone, colour, rate) if b0 > 0 else Ramp(b0, b0)
        after = _ramp_in(s, b1, tone, colour, rate) if b1 < len(s) else Ramp(b1, b1)
        if b0 == 0 and b1 == len(s):
            continue
        if b0 == 0 or b1 == len(s):
            ends, made = _film_end(s, b0, b1, before, after, ends, at_start, at_end)
            found += made
            owned.append((before.start - 1, after.end + 1))
            continue
        if not before.frames and not after.frames and (why := _interruption(s, b0, b1, edges)):
            rejected.append(Rejected(b0, 0.3, why))
            owned.append((b0 - 1, b1 + 2))
            continue
        made = _between(s, b0, b1, before, after, rate, edges)
        found += made
        if made:
            owned.append((before.start - 1, after.end + 1))
    kept = [c for c in cuts if not any(low <= c.frame < high for low, high in owned)]
    kept = [_with_ramps(s, c, rate, [t.frame for t in (*kept, *found)]) for c in kept]
    if at_start and not ends.in_frames:
        first = min([t.frame for t in (*kept, *found)], default=len(s))
        if (ramp := _edge_ramp(s, 0, first, 1, rate)).frames:
            ends = Ends(ramp.frames, ramp.colour, ends.out_frames, ends.out_colour)
    if at_end and not ends.out_frames:
        last = max([t.frame for t in (*kept, *found)], default=0)
        if (ramp := _edge_ramp(s, len(s) - 1, last, -1, rate)).frames:
            ends = Ends(ends.in_frames, ends.in_colour, ramp.frames, ramp.colour)
    return found, kept, rejected, ends


def flat_runs(s: Signals) -> list[tuple[int, int]]:
    """Runs [b0, b1) of frames that show nothing and are black or bright: an empty grey wall is a picture."""
    shows_nothing = s.flat & ((s.mean < BLACK_Y + 26) | (s.mean > 130))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shows_nothing.view(np.int8), [0]])))
    return [_emptiest(s.contrast, int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _emptiest(contrast: Numbers, b0: int, b1: int) -> tuple[int, int]:
    """The run without the frames at its ends in which a fade has begun or not ended, though next to nothing is seen."""
    floor = float(contrast[b0:b1].min()) + 0.3
    while b1 - b0 > 1 and contrast[b0] > floor:
        b0 += 1
    while b1 - b0 > 1 and contrast[b1 - 1] > floor:
        b1 -= 1
    return b0, b1


def _distance_to(s: Signals, tone: float, low: int, high: int) -> Numbers:
    """float32 [high - low]: how far frames are from an empty picture of this tone, root mean square, levels."""
    made: Numbers = np.sqrt(s.contrast[low:high] ** 2 + (s.mean[low:high] - tone) ** 2)
    return made


def _climb(far: Numbers) -> int:
    """How many of the first values climb, one after the other; a single frame that does not is passed over."""
    k, top = 0, float(far[0]) if len(far) else 0.0
    while k + 1 < len(far):
        if far[k + 1] > top * 1.004 + 0.04:
            k, top = k + 1, float(far[k + 1])
        elif k + 2 < len(far) and far[k + 2] > top * 1.008 + 0.08:
            k, top = k + 2, float(far[k + 2])
        else:
            break
    if k < 4:
        return k
    # The steps of a fade are equal, in linear light or in the pictures' own values; what climbs on more slowly is motion.
    half = max(3, k // 2)
    steps = [np.diff(far[: k + 1] ** gamma) for gamma in (1.0, 2.2)]
    step = min(steps, key=lambda d: float(d[:half].std() / max(float(np.median(d[:half])), 1e-6)))
    slow = step < 0.5 * np.median(step[:half])
    for j in range(half, k):
        if slow[j] and (j + 1 >= k or slow[j + 1]):
            return j
    return k


def _ramp_out(s: Signals, b0: int, tone: float, colour: str, rate: float) -> Ramp:
    """The fade out that ends before the flat frame b0."""
    low = max(0, b0 - round(MOST_RAMP_S * rate))
    far = _distance_to(s, tone, low, b0)[::-1]  # far[0] is frame b0 - 1
    steps = _climb(far)
    if steps < LEAST_RAMP - 1 or far[0] > LEFT_OVER * far[steps]:
        return Ramp(b0, b0)
    return Ramp(b0 - steps, b0, colour)


def _ramp_in(s: Signals, b1: int, tone: float, colour: str, rate: float) -> Ramp:
    """The fade in that begins after the flat frames, at b1."""
    high = min(len(s), b1 + round(MOST_RAMP_S * rate))
    far = _distance_to(s, tone, b1, high)
    steps = _climb(far)
    if steps < LEAST_RAMP - 1 or far[0] > LEFT_OVER * far[steps]:
        return Ramp(b1, b1)
    return Ramp(b1, b1 + steps, colour)


def _film_end(s: Signals, b0: int, b1: int, before: Ramp, after: Ramp, ends: Ends, at_start: bool, at_end: bool,
              ) -> tuple[Ends, list[Transition]]:  # fmt: skip
    """What flat frames at the film's own start or end mean."""
    long = b1 - b0 >= LEAST_BLACK
    if b0 == 0 and after.frames:
        return (Ends(after.end, after.colour, ends.out_frames, ends.out_colour) if at_start else ends), []
    if b0 == 0:
        return ends, [Transition(b1, "cut", b1, b1, 0.9, "the first picture after the leader")] if long else []
    if before.frames:
        return (Ends(ends.in_frames, ends.in_colour, len(s) - before.start, before.colour) if at_end else ends), []
    return ends, [Transition(b0, "cut", b0, b0, 0.9, "a hard cut to an empty picture that stays")] if long else []


def _interruption(s: Signals, b0: int, b1: int, edges: Sequence[int]) -> str:
    """Why a few flat frames between hard edges are no boundary: the same shot goes on after them."""
    if b1 - b0 >= LEAST_BLACK:
        return ""
    back = float(np.min(s.structure(np.array([b0 - 1, b0 - 1]), np.array([b1, min(b1 + 1, len(s) - 1)]))))
    if back < 0.2 or s.same_world(b0 - 1, b1):
        return f"a flash, {b1 - b0} frames empty: the same picture is back at frame {b1}"
    if 0 < over_gap(s, b0 - 1, b1, edges) < GOES_ON:
        return f"a flash, {b1 - b0} frames empty: at frame {b1} the picture is where the motion has brought it"
    return ""


def _between(s: Signals, b0: int, b1: int, before: Ramp, after: Ramp, rate: float, edges: Sequence[int],
             ) -> list[Transition]:  # fmt: skip
    """The boundaries that flat frames [b0, b1) with these ramps are.

    One boundary: where the new picture begins to be seen; where the old one was cut off hard and the new one fades in, at
    that hard cut, and the fade holds the black. Black that stays is a shot of its own.
    """
    out = {"out_frames": before.frames, "out_colour": before.colour}
    into = {"in_frames": after.frames, "in_colour": after.colour}
    held = b1 - b0
    same = float(s.structure(np.array([max(before.start - 1, 0)]), np.array([min(after.end, len(s) - 1)]))[0]) < 0.15
    sure = 0.55 if same else 0.97
    why = "the same picture comes back" if same else "one empty frame" if held == 1 else f"{held} empty frames"
    if not before.frames and not after.frames:
        if held < LEAST_BLACK:
            ratio = over_gap(s, b0 - 1, b1, edges)
            sure = min(0.9, sure_over_gap(ratio)) if ratio else 0.9
            return [Transition(b1, "cut", b1, b1, sure, f"{why}, between hard cuts")]
        return [Transition(b0, "cut", b0, b0, 0.95, why), Transition(b1, "cut", b1, b1, 0.95, why)]
    if held > MOST_BLACK_S * rate:
        first = Transition(b0, "fade" if before.frames else "cut", before.start, b0, sure, why, **out)  # type: ignore[arg-type]
        second = Transition(b1, "fade" if after.frames else "cut", b1, after.end, sure, why, **into)  # type: ignore[arg-type]
        return [first, second]
    if not before.frames:
        return [Transition(b0, "fade", b0, after.end, sure, why, after.end - b0, after.colour)]
    return [Transition(b1, "fade", before.start, after.end, sure, why, after.frames, after.colour,
                       b1 - before.start, before.colour)]  # fmt: skip


def _with_ramps(s: Signals, cut: Transition, rate: float, others: Sequence[int]) -> Transition:
    """A hard cut, as a fade where a side of it fades without ever being empty."""
    before = max([f for f in others if f < cut.frame], default=0)
    after = min([f for f in others if f > cut.frame], default=len(s))
    out, into = _edge_ramp(s, cut.frame - 1, before, -1, rate), _edge_ramp(s, cut.frame, after, 1, rate)
    if not out.frames and not into.frames:
        return cut
    return Transition(cut.frame, "fade", cut.frame - out.frames, cut.frame + into.frames, cut.confidence, cut.why,
                      into.frames, into.colour, out.frames, out.colour)  # fmt: skip


def _edge_ramp(s: Signals, edge: int, limit: int, step: int, rate: float) -> Ramp:
    """The fade that stands at frame `edge` and leads away from it towards `limit` (step 1: a fade in; -1: a fade out)."""
    reach = min(abs(limit - edge), round(MOST_RAMP_S * rate))
    frames = edge + step * np.arange(reach)
    if len(frames) < LEAST_RAMP:
        return Ramp(edge, edge)
    for colour, tone in (("black", BLACK_Y), ("white", WHITE_Y)):
        far = np.sqrt(s.contrast[frames] ** 2 + (s.mean[frames] - tone) ** 2)
        steps = _climb(far)
        whole = int(frames[steps])
        if steps < LEAST_RAMP or far[0] > LEFT_OVER * far[steps] or s.contrast[edge] > LEFT_OVER * s.contrast[whole]:
            continue
        if float(s.structure(np.array([edge]), np.array([whole]))[0]) > 0.4:
            continue  # another picture: motion, no fade
        return Ramp(edge, edge + steps, colour) if step > 0 else Ramp(edge - steps + 1, edge + 1, colour)
    return Ramp(edge, edge)

"""What two people of the demo film do together: meeting, taking hands, dancing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.film_acts import RATE, STEP_S, Triple, between, still, triple
from tools.film_body import MAN_IN_JACKET, WOMAN_IN_WHITE, Arm, Face, Pose, ease, mix, turn, v3
from tools.film_gait import Step, Walker, straight, walk

MEETING_X = 0.40
HIS_WALK = straight((-MEETING_X - 0.58 * 4, 0.0), 90.0, 6, 0.58, STEP_S, -12 / RATE, halt=True)
HER_WALK = straight((MEETING_X + 0.50 * 4, 0.0), -90.0, 6, 0.50, STEP_S, -12 / RATE, halt=True, width=0.05)
JOINED: Triple = (0.0, 1.03, 0.13)


def _reach(t: float, start_s: float) -> tuple[float, float]:
    return ease(t, start_s, start_s + 0.85), ease(t, start_s + 0.45, start_s + 1.35)


def _hands(his: Pose, hers: Pose, his_s: float, her_s: float, lift: float = 0.0) -> tuple[Pose, Pose]:
    """Gives his right and her left hand: he offers his palm, she lays hers on it."""
    x, y, z = JOINED
    offered = (x - 0.100, y - 0.030 + lift + 0.02 * (1.0 - her_s), z)
    laid = (x + 0.085, y + 0.022 + lift + 0.10 * (1.0 - her_s), z - 0.004)
    his_arm = Arm(
        to=between((-MEETING_X + 0.03, 0.86, 0.25), offered, his_s), pole=(-0.5, -1.0, 0.45),
        fingers=between((0.1, -1.0, 0.0), (1.0, 0.06 + 0.3 * lift, 0.05), his_s), palm=between((0.0, 0.0, -1.0), (0.1, 1.0, -0.25), his_s),
        curl=(mix(0.3, 0.1, his_s), 0.16, 0.16, 0.18, 0.2), spread=3.0,
    )
    her_arm = Arm(
        to=between((MEETING_X - 0.02, 0.80, 0.22), laid, her_s), pole=(0.5, -1.0, 0.45),
        fingers=between((-0.1, -1.0, 0.0), (-1.0, -0.10 + 0.3 * lift, 0.06), her_s), palm=between((0.0, 0.0, -1.0), (0.0, -1.0, -0.15), her_s),
        curl=(0.2, 0.18, 0.22, 0.26, 0.3), spread=2.5,
    )
    return (replace(his, arms=(his.arms[0], his_arm)) if his_s > 0 else his,
            replace(hers, arms=(her_arm, hers.arms[1])) if her_s > 0 else hers)


def meet(t: float) -> tuple[Pose, Pose]:
    """They walk towards each other, stop, and he offers his hand."""
    his = walk(HIS_WALK, t, replace(still(MAN_IN_JACKET, t), neck=(0, 4 * ease(t, 2.2, 2.9), 0)))
    hers = walk(HER_WALK, t, replace(still(WOMAN_IN_WHITE, t), neck=(0, -4, 0), face=Face(smile=0.5)))
    his_s, _ = _reach(t, 2.85)
    _, her_s = _reach(t, 3.05)
    return _hands(his, hers, his_s, her_s)


def take_hands(t: float) -> tuple[Pose, Pose]:
    """Close: her hand comes down on his."""
    late = t + 10.0
    his = walk(HIS_WALK, late, still(MAN_IN_JACKET, t))
    hers = walk(HER_WALK, late, still(WOMAN_IN_WHITE, t))
    return _hands(his, hers, 1.0, mix(0.25, 1.0, ease(t, 0.1, 1.2)), 0.05 * ease(t, 1.4, 2.6))


WALTZ_BEAT_S = 12 / RATE
WALTZ_TURN = 24.0  # degrees a beat
WALTZ_BEATS = 14


def _circle(opposite: bool, radius: float, width: float) -> Walker:
    steps = []
    for k in range(-2, WALTZ_BEATS):
        side = k % 2
        angle = WALTZ_TURN * k + (180.0 if opposite else 0.0)
        axes = turn(angle)
        at = -axes[:, 2] * radius + axes[:, 0] * (width if side == 0 else -width)
        steps.append(Step(side, float(at[0]), float(at[2]), angle + (5 if side == 0 else -5), (k * 12 - 18) / RATE))
    return Walker(tuple(steps), height=0.925, swing=0.0, sway=0.03)


HIS_CIRCLE, HER_CIRCLE = _circle(False, 0.235, 0.09), _circle(True, 0.225, 0.06)


def dance_together(t: float) -> tuple[Pose, Pose]:
    """Face to face, turning step by step; his hand on her back, the others joined out to the side."""
    his = walk(HIS_CIRCLE, t, still(MAN_IN_JACKET, t))
    hers = walk(HER_CIRCLE, t, replace(still(WOMAN_IN_WHITE, t), face=Face(smile=0.7)))
    angle = float(np.degrees(np.arctan2(hers.pelvis[0] - his.pelvis[0], hers.pelvis[2] - his.pelvis[2])))
    axes = turn(angle)
    middle = 0.5 * (np.array(his.pelvis) + np.array(hers.pelvis))
    middle[1] = 0.5 * (his.pelvis[1] + hers.pelvis[1])
    rise = 0.02 * float(np.sin(2 * np.pi * t / 1.5))

    def at(left: float, up: float, ahead: float) -> Triple:
        return triple(middle + axes @ v3(left, up, ahead))

    def way(left: float, up: float, ahead: float) -> Triple:
        return triple(axes @ v3(left, up, ahead))

    closed = (0.3, 0.45, 0.5, 0.5, 0.5)
    his_left = Arm(to=at(0.46, 0.46 + rise, -0.04), pole=way(0.3, -1, -0.3), fingers=way(0.3, 0.75, 0.55), palm=way(-0.4, 0.3, 0.9), curl=closed)
    her_right = Arm(to=at(0.44, 0.49 + rise, 0.09), pole=way(0.3, -1, 0.3), fingers=way(0.55, 0.8, -0.2), palm=way(-0.2, 0.0, -1), curl=closed)
    his_right = Arm(to=at(-0.20, 0.30, 0.26), pole=way(-1, -0.35, -0.1), fingers=way(0.75, 0.15, 0.35), palm=way(0.5, 0.0, -0.8))
    her_left = Arm(to=at(-0.245, 0.52, -0.14), pole=way(-1, -0.45, 0.3), fingers=way(0.35, 0.12, -0.9), palm=way(0.4, -0.9, 0.0))
    lean = float(np.sin(2 * np.pi * t / 2.0))
    his = replace(his, arms=(his_left, his_right), neck=(-14, 6, 3 + lean))
    hers = replace(hers, arms=(her_left, her_right), neck=(14, -8, 3 - lean))
    return his, hers

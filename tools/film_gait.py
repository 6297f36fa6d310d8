"""Walking for the demo film: a plan of footsteps becomes feet that do not slide, a pelvis that rides on them, arms
that swing against the legs, and the times at which heels strike.

After the textbook description of human gait (J. Perry, Gait Analysis, 1992): heel strike with toes up, the foot rolls
flat, the heel rises over the ball, toe-off at about 60 % of the cycle; the pelvis is lowest in double support.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.film_body import ANKLE_HEIGHT, Foot, Pose, ease, mix, turn, v3

Array = NDArray[np.float64]
HEEL = v3(0.0, -ANKLE_HEIGHT, -0.055)
BALL = v3(0.0, -ANKLE_HEIGHT, 0.108)
ROLL_IN_S = 0.13


@dataclass(frozen=True)
class Step:
    """One placing of a foot: side 0 left or 1 right, floor point under the ankle, yaw, time of heel strike."""

    side: int
    x: float
    z: float
    yaw: float
    strike_s: float


@dataclass(frozen=True)
class Walker:
    """A plan: steps in order of time, sides alternating; the first two are where the feet already stand."""

    steps: tuple[Step, ...]
    height: float = 0.925  # of the pelvis
    overlap: float = 0.20  # double support, as a share of the time between two strikes
    swing: float = 24.0  # of the arms, degrees
    sway: float = 0.022

    def strikes(self) -> list[float]:
        """Times of the heel strikes, without the two feet that stand at the beginning, in seconds."""
        return [s.strike_s for s in self.steps[2:]]


def straight(
    start: tuple[float, float], heading: float, count: int, length: float, period_s: float, first_s: float,
    width: float = 0.07, halt: bool = False, moving: bool = True, first_side: int = 0,
) -> Walker:
    """A walk in a line: heading as yaw in degrees (0 is +z); strikes every period_s from first_s; halt closes the feet."""
    ahead, left = turn(heading)[:, 2], turn(heading)[:, 0]
    origin = v3(start[0], 0.0, start[1])
    steps = []
    for k in range(-2, count):
        side = (first_side + k) % 2
        reach = length * k if moving else max(length * (k + 1) - 0.5 * length, 0.0) if k >= 0 else 0.0
        if halt and k == count - 1:
            reach -= length if moving else 0.5 * length * 2.0
        at = origin + ahead * reach + left * (width if side == 0 else -width)
        out = 6.0 if side == 0 else -6.0
        steps.append(Step(side, float(at[0]), float(at[2]), heading + out, first_s + k * period_s))
    return Walker(tuple(steps))


def _stance(step: Step, lift_s: float, amount: float, period_s: float, t: float) -> tuple[Array, float, float]:
    """Ankle position, pitch and toe bend of a standing foot; heel or ball is the fixed point."""
    ground = v3(step.x, 0.0, step.z)
    flat = ground + v3(0.0, ANKLE_HEIGHT, 0.0)
    rise = 0.52 * period_s
    pitch = 0.0
    if t < step.strike_s + ROLL_IN_S:
        pitch = -19.0 * amount * (1.0 - ease((t - step.strike_s) / ROLL_IN_S))
        pivot = HEEL
    elif t > lift_s - rise:
        pitch = 50.0 * amount * max((t - lift_s + rise) / rise, 0.0) ** 1.7
        pivot = BALL
    else:
        return flat, 0.0, 0.0
    fixed = flat + turn(step.yaw) @ pivot
    return fixed - turn(step.yaw, pitch) @ pivot, pitch, max(pitch, 0.0)


def foot_at(walker: Walker, side: int, t: float) -> Foot:
    """The foot of one side at time t in seconds."""
    own = [(i, s) for i, s in enumerate(walker.steps) if s.side == side]
    here = 0
    while here + 1 < len(own) and own[here + 1][1].strike_s <= t:
        here += 1
    index, step = own[here]
    following = own[here + 1][1] if here + 1 < len(own) else None
    arrived = 1.0 if index >= 2 or step.strike_s > -1.5 else 0.0
    if index > 0:
        last = walker.steps[max(index - 2, 0)]
        arrived = min(float(np.hypot(step.x - last.x, step.z - last.z)) / 1.2, 1.0)
    if following is None:
        at, pitch, toes = _stance(step, 1e9, arrived, 0.5, t)
        return Foot((float(at[0]), float(at[1]), float(at[2])), step.yaw, pitch, toes)
    other = walker.steps[index + 1]
    period = following.strike_s - other.strike_s
    lift_s = other.strike_s + walker.overlap * period
    amount = min(float(np.hypot(following.x - step.x, following.z - step.z)) / 1.2, 1.0)
    if t <= lift_s:
        at, pitch, toes = _stance(step, lift_s, amount if t > step.strike_s + ROLL_IN_S else arrived, period, t)
        return Foot((float(at[0]), float(at[1]), float(at[2])), step.yaw, pitch, toes)
    length = following.strike_s - lift_s
    s = (t - lift_s) / length
    a, pitch_a, _ = _stance(step, lift_s, amount, period, lift_s)
    before, pitch_b, _ = _stance(step, lift_s, amount, period, lift_s - 0.01)
    b, pitch_c, _ = _stance(following, 1e9, amount, period, following.strike_s)
    out = (a - before) / 0.01 * length
    into = (b - a) * 0.15 - v3(0.0, 0.02 * amount, 0.0)
    at = (
        (2 * s**3 - 3 * s**2 + 1) * a + (s**3 - 2 * s**2 + s) * out * 0.6
        + (-2 * s**3 + 3 * s**2) * b + (s**3 - s**2) * into
    )
    at = at + v3(0.0, (0.012 + 0.028 * amount) * float(np.sin(np.pi * s)) ** 2, 0.0)
    pitch = mix(pitch_a + (pitch_a - pitch_b) / 0.01 * 0.08 * length * s, pitch_c, ease(s, 0.0, 0.92))
    yaw = mix(step.yaw, following.yaw, ease(s))
    return Foot((float(at[0]), float(at[1]), float(at[2])), yaw, pitch, max(pitch, 0.0) * (1.0 - s) ** 2)


def _ride(times: list[float], values: list[float], t: float) -> float:
    """Hermite curve through the values with Catmull-Rom slopes; held outside."""
    if t <= times[0]:
        return values[0]
    if t >= times[-1]:
        return values[-1]
    k = int(np.searchsorted(times, t, side="right")) - 1

    def slope(i: int) -> float:
        if i in (0, len(times) - 1):
            return 0.0
        return (values[i + 1] - values[i - 1]) / (times[i + 1] - times[i - 1])

    h = times[k + 1] - times[k]
    s = (t - times[k]) / h
    return (
        (2 * s**3 - 3 * s**2 + 1) * values[k] + (s**3 - 2 * s**2 + s) * h * slope(k)
        + (-2 * s**3 + 3 * s**2) * values[k + 1] + (s**3 - s**2) * h * slope(k + 1)
    )


def walk(walker: Walker, t: float, base: Pose) -> Pose:
    """The pose of a walker at time t: base gives clothes, face and what the walk does not say."""
    steps = walker.steps
    left, right = foot_at(walker, 0, t), foot_at(walker, 1, t)
    times, xs, zs, yaws, amounts = [], [], [], [], []
    for k in range(1, len(steps)):
        a, b = steps[k - 1], steps[k]
        times.append(b.strike_s)
        xs.append(0.5 * (a.x + b.x))
        zs.append(0.5 * (a.z + b.z))
        yaws.append(0.5 * (a.yaw + b.yaw))
        amounts.append(min(float(np.hypot(b.x - a.x, b.z - a.z)) / 0.62, 1.0))
    last = steps[-1].strike_s - steps[-2].strike_s
    times.append(times[-1] + last)
    xs.append(xs[-1])
    zs.append(zs[-1])
    yaws.append(yaws[-1])
    amounts.append(0.0)
    k = max(int(np.searchsorted(times, t, side="right")) - 1, 0)
    phase = min(max((t - times[k]) / ((times[k + 1] - times[k]) if k + 1 < len(times) else last), 0.0), 1.0)
    amount = _ride(times, amounts, t)
    after = amounts[k + 1] if k + 1 < len(amounts) else 0.0
    over = min(amounts[k], 1.0) * 0.5 + 0.5 * after
    lead = steps[min(k + 1, len(steps) - 1)].side
    sign = 1.0 if lead == 0 else -1.0
    wave, arch = float(np.cos(np.pi * phase)), float(np.sin(np.pi * phase))
    yaw = _ride(times, yaws, t)
    across = turn(yaw)[:, 0]
    pelvis = v3(_ride(times, xs, t), 0.0, _ride(times, zs, t)) + across * sign * walker.sway * arch * over
    height = mix(0.945, walker.height, amount) - 0.018 * amount * float(np.cos(2 * np.pi * phase))
    scale = 1.0 if base.kind < 1.5 else 0.945
    twist = -sign * 6.0 * wave * amount
    swing = sign * walker.swing * wave * amount
    arms = []
    for side, arm in enumerate(base.arms):
        if arm.to is not None or arm.fingers is not None:
            arms.append(arm)
            continue
        own = -swing if side == 0 else swing
        arms.append(replace(arm, swing=arm.swing + own + 3.0, elbow=arm.elbow + 0.45 * max(own, 0.0) + 6.0 * amount))
    hips = (yaw + twist, base.hips[1] + 2.0 * amount, base.hips[2] + sign * 2.5 * arch * over)
    spine = (base.spine[0] - 2.0 * twist, base.spine[1] + 1.5 * amount, base.spine[2] - sign * 3.0 * arch * over)
    neck = (base.neck[0] + twist, base.neck[1] - 3.0 * amount, base.neck[2] + sign * 0.8 * arch)
    return replace(
        base, pelvis=(float(pelvis[0]), height * scale, float(pelvis[2])), hips=hips, spine=spine, neck=neck,
        arms=(arms[0], arms[1]), feet=(left, right),
    )

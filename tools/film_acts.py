"""What the people of the demo film do: poses as functions of the time in seconds since their shot began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tools.film_body import (
    ANKLE_HEIGHT,
    MAN_IN_JACKET,
    MAN_IN_SHIRT,
    WOMAN_IN_BLACK,
    WOMAN_IN_WHITE,
    Arm,
    Face,
    Foot,
    Pose,
    ease,
    mix,
    solve,
    turn,
    v3,
)
from tools.film_gait import Step, Walker, straight, walk

RATE = 24
STEP_S = 13 / RATE
Triple = tuple[float, float, float]


def triple(v: Sequence[float] | np.ndarray) -> Triple:
    """Three floats."""
    return float(v[0]), float(v[1]), float(v[2])


def between(a: Triple, b: Triple, s: float) -> Triple:
    """Point on the line from a to b."""
    return triple([mix(p, q, s) for p, q in zip(a, b, strict=True)])


def blink(t: float, *at: float) -> float:
    """Lids 0..1 with a blink of a quarter second around each time."""
    return 0.12 + 0.88 * max((max(0.0, 1.0 - abs(t - s) / 0.13) for s in at), default=0.0) ** 0.8


def still(kind: float = MAN_IN_JACKET, t: float = 0.0) -> Pose:
    """Someone standing, breathing."""
    breath = float(np.sin(2 * np.pi * t / 3.6))
    height = 0.945 if kind < 1.5 else 0.885
    return Pose(kind=kind, pelvis=(0.012, height, 0.0), hips=(0, 0, 1.0), spine=(0, 1.0 - 0.7 * breath, -1.5), neck=(0, 1, 0.5))


def alone(t: float) -> Pose:
    """Stands, looks to one side and then to the other."""
    look = 38.0 * ease(t, 0.9, 1.5) - 66.0 * ease(t, 2.0, 2.8)
    return replace(still(MAN_IN_JACKET, t), neck=(look, 1.0, 0.0), spine=(0.2 * look, 0.5, -1.0))


WALK = straight((-2.9, 0.0), 90.0, 16, 0.66, STEP_S, (7 - 13 * 4) / RATE)
FEET = straight((2.2, 0.0), -90.0, 14, 0.64, STEP_S, (6 - 13 * 4) / RATE, first_side=1)
AWAY = straight((0.0, 2.4), 180.0, 16, 0.66, STEP_S, (8 - 13 * 4) / RATE)


def walks(t: float) -> Pose:
    """Walks along x."""
    return walk(WALK, t, replace(still(), neck=(0, 1, 0)))


def walks_looking(t: float) -> Pose:
    """Walks along x and turns his face to us."""
    s = ease(t, 0.9, 1.7) * (1.0 - ease(t, 2.6, 3.2))
    return walk(WALK, t, replace(still(), neck=(-72.0 * s, 2, 0), spine=(-10.0 * s, 0, 0), face=Face(lids=blink(t, 1.2))))


def feet_walk(t: float) -> Pose:
    """Walks along -x."""
    return walk(FEET, t, still())


def walks_away(t: float) -> Pose:
    """Walks along -z."""
    return walk(AWAY, t, still())


def face_turns(t: float) -> Pose:
    """Profile to full face, a blink, a small smile."""
    s = ease(t, 0.5, 2.3)
    smile = ease(t, 2.7, 3.5)
    face = Face(lids=blink(t, 1.35, 2.75), smile=0.9 * smile, gaze=(mix(0.25, 0.0, s), 0.0), brow=0.5 * smile)
    return replace(still(t=t), hips=(mix(30, 4, s), 0, 0), neck=(mix(58, -4, s), 2.0 - 2.0 * s, mix(0, -3, s)), face=face)


def eye(t: float) -> Pose:
    """One eye; the gaze jumps."""
    return replace(still(), face=Face(lids=0.10, gaze=(-0.28 if t < 4.5 / RATE else 0.16, 0.03), brow=0.4), neck=(0, 0, 0))


def hands_move(t: float) -> Pose:
    """Both hands held up, fingers closing one after the other, opening, then the hands turn."""
    def curls(shift: float) -> tuple[float, float, float, float, float]:
        out = []
        for k in range(5):
            shut = ease(t, 0.35 + shift + 0.17 * (4 - k), 0.75 + shift + 0.17 * (4 - k))
            opened = ease(t, 2.0 + shift, 2.35 + shift)
            out.append(0.04 + 0.86 * shut * (1.0 - opened))
        return out[0], out[1], out[2], out[3], out[4]

    turned = ease(t, 2.6, 3.6)
    arms = []
    for side, sign in enumerate((1.0, -1.0)):
        angle = np.radians(180.0 * turned) * sign
        palm = (float(np.sin(angle)), 0.0, float(np.cos(angle)))
        at = (sign * (0.125 + 0.012 * np.sin(1.7 * t)), 1.285 + 0.008 * float(np.sin(2.1 * t + side)), 0.40)
        arms.append(Arm(to=at, pole=(sign * 0.9, -1.0, 0.0), fingers=(-0.10 * sign, 1.0, 0.02), palm=palm,
                        curl=curls(0.0 if side else 0.14), spread=6.0))
    return replace(still(t=t), arms=(arms[0], arms[1]))


CLAPS_S = tuple(f / RATE for f in (14, 27, 40, 53, 60, 67))
CLAP_ONCE_S = (4 / RATE,)


def claps(t: float, times: Sequence[float] = CLAPS_S, kind: float = MAN_IN_SHIRT) -> Pose:
    """Claps at the given times."""
    gap = 1.0
    for k, at in enumerate(times):
        pause = min([abs(at - o) for j, o in enumerate(times) if j != k], default=0.5)
        gap = min(gap, min(abs(t - at) / (0.5 * pause), 1.0))
    gap = gap ** 0.8
    arms = []
    for sign in (1.0, -1.0):
        d = 0.021 + 0.15 * gap
        arms.append(Arm(
            to=(sign * d + 0.01, 1.235 + 0.03 * gap * sign, 0.345), pole=(sign * 0.8, -1.0, -0.15),
            fingers=(sign * 0.25 * gap, 0.62, 0.78 - 0.12 * sign), palm=(-sign, 0.0, 0.0), curl=(0.1, 0.06, 0.05, 0.06, 0.1), spread=2.5,
        ))
    nod = 3.0 * (1.0 - gap)
    return replace(still(kind, t), arms=(arms[0], arms[1]), neck=(4, 3 + nod, 0), face=Face(lids=blink(t, 1.4), smile=0.6))


SEAT: Triple = (0.0, 0.565, -0.03)
TABLE_FEET = (Foot((0.13, ANKLE_HEIGHT, 0.30), 8.0), Foot((-0.13, ANKLE_HEIGHT, 0.26), -8.0))


def sits(t: float) -> Pose:
    """Stands before the chair, sits down, lays his hands on the table."""
    s = ease(t, 0.35, 1.75)
    dip = float(np.sin(np.pi * s))
    hands = ease(t, 1.7, 2.6)
    arms = []
    for sign in (1.0, -1.0):
        standing = (sign * 0.26, mix(0.80, 0.66, s), mix(0.10, 0.12, s))
        over = (sign * 0.24, 0.90, 0.34)
        laid = (sign * 0.20, 0.780, 0.43)
        at = between(between(standing, over, ease(hands, 0.0, 0.6)), laid, ease(hands, 0.4, 1.0))
        fingers = between((0.0, -1.0, 0.15), (-0.35 * sign, -0.04, 1.0), hands)
        palm = between((-sign, 0.0, 0.0), (0.0, -1.0, 0.0), hands)
        arms.append(Arm(to=at, pole=(sign * 0.7, -0.6, -0.8), fingers=fingers, palm=palm, curl=(0.12, 0.08, 0.08, 0.1, 0.12)))
    return Pose(
        pelvis=triple([0.0, mix(0.945, SEAT[1], s), mix(0.22, SEAT[2], s) - 0.05 * dip]),
        hips=(0, mix(0, -4, s) + 26 * dip, 0), spine=(0, mix(1, 9, s) + 16 * dip, 0), neck=(14 * hands, -14 * dip + 4, 0),
        arms=(arms[0], arms[1]), feet=TABLE_FEET, face=Face(lids=blink(t, 1.2, 3.0)),
    )


BITES_S = (1.25, 3.35)


def eats(t: float) -> tuple[Pose, tuple[Triple, Triple]]:
    """Lifts the fork to his mouth twice and chews; the pose and the fork's tip and end."""
    up = 0.0
    for b in BITES_S:
        up = max(up, ease(t, b - 0.75, b - 0.05) * (1.0 - ease(t, b + 0.15, b + 0.85)))
    near = max(max(0.0, 1.0 - abs(t - b) / 0.28) for b in BITES_S)
    chewing = max(ease(t, b + 0.3, b + 0.5) * (1.0 - ease(t, b + 1.15, b + 1.35)) for b in BITES_S)
    jaw = 0.013 * ease(near) + 0.0038 * chewing * (1.0 - float(np.cos(2 * np.pi * 2.4 * t))) * 0.5
    pose = Pose(
        pelvis=SEAT, hips=(0, -2, 0), spine=(0, 13 + 4 * up, 0), neck=(0, mix(14, 3, up), 0), feet=TABLE_FEET,
        face=Face(lids=mix(0.45, 0.25, up), open=jaw, gaze=(0.0, mix(-0.25, 0.0, up))),
    )
    origin, axes = solve(pose).frames["head"]
    mouth = triple(origin + axes @ v3(0.0, -0.071, 0.104))
    plate: Triple = (-0.015 + 0.02 * float(np.sin(5.0 * t)), 0.758, 0.565)
    tip = between(plate, mouth, up)
    tip = (tip[0] - 0.05 * float(np.sin(np.pi * up)), tip[1] + 0.02 * float(np.sin(np.pi * up)), tip[2] + 0.05 * float(np.sin(np.pi * up)))
    way = turn() @ v3(mix(0.45, 0.62, up), mix(-0.55, 0.10, up), mix(0.55, -0.70, up))
    way = way / np.linalg.norm(way)
    grip = np.array(tip) - way * 0.13
    fingers = v3(mix(0.45, 0.35, up), mix(-0.1, 0.75, up), mix(0.9, -0.25, up))
    wrist = grip - fingers / np.linalg.norm(fingers) * 0.085 - v3(0.01, 0.012, 0.0)
    right = Arm(
        to=triple(wrist), pole=(-1.0, -0.5, -0.1), fingers=triple(fingers), palm=(0.8, mix(-0.6, 0.1, up), mix(-0.1, 0.4, up)),
        curl=(0.75, 0.50, 0.62, 0.72, 0.78),
    )
    left = Arm(to=(0.21, 0.780, 0.43), pole=(0.7, -0.6, -0.8), fingers=(-0.45, -0.03, 1.0), palm=(0.0, -1.0, 0.0), curl=(0.1, 0.06, 0.06, 0.08, 0.1))
    return replace(pose, arms=(left, right)), (tip, triple(grip - way * 0.06))


def lies_down(t: float) -> Pose:
    """Sits on the floor with knees drawn up, lies back, stretches, turns his face to us."""
    s = ease(t, 0.45, 2.15)
    legs = (ease(t, 0.9, 2.3), ease(t, 1.4, 2.8))
    feet, arms = [], []
    for side, sign in enumerate((1.0, -1.0)):
        out = legs[side]
        feet.append(Foot((mix(0.47, 0.845, out), mix(ANKLE_HEIGHT, 0.062, out) + 0.04 * float(np.sin(np.pi * out)), -sign * 0.11),
                         90.0 - sign * 10 * (1 - out), mix(0.0, -72.0, out), 0.0, -sign * 18 * out))
        at = between((-0.26, 0.055, -sign * 0.27), (0.02, 0.05, -sign * 0.33), ease(s, 0.35, 1.0))
        arms.append(Arm(to=at, pole=(-1.0, -0.1, -sign * 0.7), fingers=between((-0.5, -0.2, -sign * 0.6), (1.0, -0.05, -sign * 0.15), s), palm=(0, -1, 0)))
    breath = float(np.sin(2 * np.pi * t / 3.4))
    face = ease(t, 2.7, 3.6)
    return Pose(
        pelvis=(0.0, 0.118, 0.0), hips=(90, mix(-16, -87, s), 0), spine=(0, mix(34, -1.5, s) - 0.8 * breath, 0),
        neck=(-62 * face, mix(4, 3, s) + 10 * float(np.sin(np.pi * s)), 0), arms=(arms[0], arms[1]), feet=(feet[0], feet[1]),
        knees=(0.15, 1.0, 0.0), face=Face(lids=blink(t, 1.0, 3.1)),
    )


TAKEOFFS = (20, 52)
FLIGHT = 14  # frames in the air: 0.583 s, 0.417 m high under gravity


def jumps(t: float) -> Pose:
    """Two jumps from both feet."""
    frame = t * RATE
    low = height = air = toes = arms_up = back = 0.0
    for off in TAKEOFFS:
        land = off + FLIGHT
        low = max(low, 0.24 * ease(frame, off - 13, off - 5) * (1.0 - ease(frame, off - 5, off + 1)))
        low = max(low, 0.20 * ease(frame, land - 1, land + 4) * (1.0 - ease(frame, land + 5, land + 13)))
        back = max(back, ease(frame, off - 13, off - 6) * (1.0 - ease(frame, off - 6, off - 1)))
        arms_up = max(arms_up, ease(frame, off - 6, off + 3) * (1.0 - ease(frame, land - 4, land + 7)))
        toes = max(toes, ease(frame, off - 4, off + 1) * (1.0 - ease(frame, land - 1, land + 1.5)))
        if off < frame < land:
            s = (frame - off) / RATE
            height = 0.5 * 9.81 * s * (FLIGHT / RATE - s)
            air = float(np.sin(np.pi * (frame - off) / FLIGHT))
    pitch = 38.0 * toes
    feet, arms = [], []
    for sign in (1.0, -1.0):
        axes = turn(sign * 9.0, pitch)
        ball = v3(0.0, -ANKLE_HEIGHT, 0.108)
        at = v3(sign * 0.12, ANKLE_HEIGHT + height + 0.13 * air, 0.0) + turn(sign * 9.0) @ ball - axes @ ball
        feet.append(Foot(triple(at - v3(0.0, 0.0, 0.10 * air)), sign * 9.0, pitch + 12 * air, pitch * (1.0 - min(3 * air, 1.0))))
        arms.append(Arm(swing=2 - 55 * back + 152 * arms_up, lift=10 - 36 * arms_up, twist=6, elbow=14 + 16 * back + 8 * arms_up, curl=(0.1, 0.1, 0.1, 0.1, 0.1), spread=5))
    body = low / 0.24
    return Pose(
        kind=MAN_IN_SHIRT, pelvis=(0.0, 0.945 - low + height + 0.055 * toes, -0.09 * body), hips=(0, 34 * body, 0), spine=(0, 12 * body - 6 * air, 0),
        neck=(0, -28 * body - 4 * arms_up, 0), arms=(arms[0], arms[1]), feet=(feet[0], feet[1]), face=Face(open=0.006 * air, smile=0.8),
    )


def spot_turn(degrees: float, count: int, period_s: float, first_s: float, lead: int = 0) -> Walker:
    """Turning on the spot in small steps."""
    steps = []
    for k in range(-2, count):
        side = (k + lead) % 2
        yaw = degrees * max(k + 1, 0) / count
        at = turn(yaw)[:, 0] * (0.085 if side == 0 else -0.085)
        steps.append(Step(side, float(at[0]), float(at[2]), yaw + (7 if side == 0 else -7), first_s + k * period_s))
    return Walker(tuple(steps), height=0.938, swing=10.0, sway=0.03)


TURN = spot_turn(360.0, 8, 10 / RATE, 9 / RATE)


def woman_turns(t: float) -> Pose:
    """Turns once round on the spot, arms opening."""
    wide = ease(t, 0.3, 1.4) * (1.0 - ease(t, 2.9, 3.9))
    arm = Arm(swing=6, lift=8 + 44 * wide, twist=10, elbow=12 + 14 * wide, curl=(0.15, 0.1, 0.16, 0.22, 0.26), spread=4)
    base = replace(still(WOMAN_IN_WHITE, t), arms=(arm, arm), neck=(0, -2, 0), face=Face(smile=0.4))
    return walk(TURN, t, base)


def her_face(t: float) -> Pose:
    """Looks down, raises her face, opens her eyes and smiles."""
    s = ease(t, 0.5, 1.9)
    smile = ease(t, 1.9, 2.9)
    lids = max(mix(0.80, 0.08, s), blink(t, 3.1) if t > 2.9 else 0.0)
    face = Face(lids=lids, smile=smile, gaze=(0.10, mix(-0.2, 0.02, s)), brow=0.7 * s, open=0.0015 * smile)
    return replace(still(WOMAN_IN_WHITE, t), hips=(-22, 0, 0), neck=(mix(-18, 8, s), mix(26, -4, s), mix(5, -4, s)), face=face)


BEAT = 10  # frames


def twists(t: float, kind: float = WOMAN_IN_BLACK, shift: float = 0.0) -> Pose:
    """The twist: hips and feet against shoulders and arms, on a beat of ten frames."""
    beat = t * RATE / BEAT
    wave = float(np.sin(np.pi * (beat + shift)))
    bounce = float(np.cos(2 * np.pi * beat))
    sink = 0.5 - 0.5 * float(np.cos(2 * np.pi * beat / 8.0))
    k = 1.0 if kind < 1.5 else 0.935
    yaw = 30.0 * wave
    feet, arms = [], []
    for sign in (1.0, -1.0):
        heading = yaw * 0.95 + sign * 6
        axes, flat = turn(heading, 13.0), turn(0.0)
        ball = v3(0.0, -ANKLE_HEIGHT, 0.108)
        at = v3(sign * 0.11, ANKLE_HEIGHT, 0.05) + flat @ ball - axes @ ball
        feet.append(Foot(triple(at), heading, 13.0, 13.0))
        arms.append(Arm(swing=26 + 26 * sign * wave, lift=22, twist=26, elbow=92 + 14 * sign * wave, curl=(0.5, 0.5, 0.55, 0.6, 0.65)))
    return Pose(
        kind=kind, pelvis=(0.02 * wave, (0.865 - 0.09 * sink + 0.012 * bounce) * k, -0.06 * sink), hips=(yaw, 6 + 10 * sink, 5 * wave),
        spine=(-58 * wave, 2 + 8 * sink, -9 * wave), neck=(30 * wave, -6 - 12 * sink, 4 * wave), arms=(arms[0], arms[1]), feet=(feet[0], feet[1]),
        face=Face(smile=0.8, lids=blink(t, 2.0)),
    )


def back_of_head(t: float) -> Pose:
    """Seen from behind: the head turns slowly to one side."""
    s = ease(t, 0.5, 2.0)
    return replace(still(t=t), neck=(mix(-6, 52, s), mix(5, -1, s), mix(-2, 4, s)), spine=(10 * s, 0, 0))

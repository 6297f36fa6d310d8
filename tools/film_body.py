"""The skeleton of the demo film: a pose in words and angles becomes the numbers that shaders/film_figure.glsl draws.

Axes of every frame: x to the figure's left, y up, z forward; right-handed; metres, degrees, seconds.
A pose says where the pelvis is, how spine, neck and arms are turned and where the feet are; legs (and arms that are
told where the hand goes) follow by two-bone inverse kinematics.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIGURE_VECTORS = 112  # vec4s per figure, as FN in the shader
ANKLE_HEIGHT = 0.086
MAN_IN_JACKET, MAN_IN_SHIRT, WOMAN_IN_WHITE, WOMAN_IN_BLACK = 0.0, 1.0, 2.0, 3.0


def turn(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """Rotation [3, 3] from degrees: yaw to the left about y, pitch forward about x, roll about z; columns are axes."""
    cy, sy = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    cp, sp = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    cr, sr = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def unit(v: Array) -> Array:
    """The vector [3] at length 1."""
    return np.asarray(v / max(float(np.linalg.norm(v)), 1e-9))


def v3(x: float, y: float, z: float) -> Array:
    """A vector [3]."""
    return np.array([x, y, z], dtype=np.float64)


def ease(x: float, start: float = 0.0, end: float = 1.0) -> float:
    """0 before start, 1 after end, between them a fifth-order S without jerk at its ends."""
    t = min(max((x - start) / (end - start), 0.0), 1.0)
    return t * t * t * (t * (6.0 * t - 15.0) + 10.0)


def mix(a: float, b: float, s: float) -> float:
    """a at s = 0, b at s = 1."""
    return a + (b - a) * s


@dataclass(frozen=True)
class Arm:
    """One arm. With `to` the wrist goes there (world); otherwise the joint angles in degrees say where it is."""

    swing: float = 2.0  # forward
    lift: float = 7.0  # away from the body
    twist: float = 12.0  # elbow turned inward
    elbow: float = 14.0
    roll: float = 0.0  # palm turned about the forearm, + towards the back
    bend: float = 0.0  # wrist, + towards the palm
    to: tuple[float, float, float] | None = None
    pole: tuple[float, float, float] = (0.0, -1.0, -0.3)  # where the elbow points, world
    fingers: tuple[float, float, float] | None = None  # world direction from wrist to knuckles
    palm: tuple[float, float, float] | None = None  # world direction that the palm looks
    curl: tuple[float, float, float, float, float] = (0.25, 0.22, 0.28, 0.32, 0.36)  # thumb .. little finger, 0..1
    spread: float = 3.0


@dataclass(frozen=True)
class Foot:
    """Where one ankle is (world) and how the foot is turned: yaw, pitch (+ heel up), toes bent up against the foot."""

    at: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 0.0
    toes: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class Face:
    """Lids 0 open .. 1 closed; mouth opening in metres; smile 0..1; gaze to the left and up, about -0.5..0.5."""

    lids: float = 0.12
    open: float = 0.0
    smile: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    brow: float = 0.0


@dataclass(frozen=True)
class Pose:
    """One figure at one time."""

    kind: float = MAN_IN_JACKET
    pelvis: tuple[float, float, float] = (0.0, 0.95, 0.0)
    hips: tuple[float, float, float] = (0.0, 0.0, 0.0)  # yaw, pitch, roll, world
    spine: tuple[float, float, float] = (0.0, 0.0, 0.0)  # chest against pelvis
    neck: tuple[float, float, float] = (0.0, 0.0, 0.0)  # head against chest
    arms: tuple[Arm, Arm] = field(default_factory=lambda: (Arm(), Arm()))  # left, right
    feet: tuple[Foot, Foot] = field(
        default_factory=lambda: (Foot((0.10, ANKLE_HEIGHT, 0.0), 8.0), Foot((-0.10, ANKLE_HEIGHT, 0.0), -8.0))
    )
    knees: tuple[float, float, float] | None = None  # where the knees point, world; by default where the feet do
    face: Face = field(default_factory=Face)


@dataclass(frozen=True)
class Body:
    """A pose solved: joint positions by name (world) and frames (origin, axes)."""

    pose: Pose
    points: dict[str, Array]
    frames: dict[str, tuple[Array, Array]]
    fingers: tuple[list[list[tuple[Array, float]]], list[list[tuple[Array, float]]]]


def two_bones(root: Array, end: Array, first: float, second: float, pole: Array) -> tuple[Array, Array]:
    """Middle joint and reachable end of two bones from root towards end; the middle joint leans towards pole."""
    way = end - root
    reach = float(np.linalg.norm(way))
    longest = (first + second) * 0.9985
    if reach > longest:
        end = root + way * (longest / reach)
        way, reach = end - root, longest
    axis = unit(way)
    side = unit(pole - axis * float(pole @ axis))
    cosine = (first * first + reach * reach - second * second) / (2.0 * first * max(reach, 1e-6))
    cosine = min(max(cosine, -1.0), 1.0)
    return root + first * (axis * cosine + side * float(np.sqrt(1.0 - cosine * cosine))), end


def size_of(kind: float) -> float:
    """Scale of the whole skeleton."""
    return 1.0 if kind < 1.5 else 0.935


FINGERS = (  # knuckle (towards thumb, along, towards palm), bones, radii
    ((0.027, 0.088, -0.001), (0.043, 0.026, 0.019), (0.0096, 0.0088, 0.0078, 0.0064)),
    ((0.0085, 0.093, -0.003), (0.047, 0.030, 0.020), (0.0098, 0.0090, 0.0080, 0.0066)),
    ((-0.0100, 0.089, -0.002), (0.043, 0.028, 0.020), (0.0093, 0.0084, 0.0075, 0.0062)),
    ((-0.0275, 0.080, 0.001), (0.034, 0.021, 0.017), (0.0083, 0.0074, 0.0066, 0.0056)),
)


def fingers_of(origin: Array, axes: Array, side: int, arm: Arm, scale: float) -> list[list[tuple[Array, float]]]:
    """Thumb first, then index to little finger: four (point, radius) each. side is 0 left, 1 right."""
    thumb = -1.0 if side == 0 else 1.0
    out: list[list[tuple[Array, float]]] = []
    curl = arm.curl[0]
    chain = [origin + axes @ v3(thumb * 0.029, 0.030, 0.010) * scale]
    for k, bone in enumerate((0.044, 0.034, 0.025)):
        fold = curl * (0.8 + 0.45 * k)
        way = unit(v3(thumb * mix(0.72, -0.25, fold), mix(0.70, 0.80, fold), mix(0.22, 0.60, min(fold, 1.0))))
        chain.append(chain[-1] + axes @ way * bone * scale)
    out.append(list(zip(chain, [r * scale for r in (0.0140, 0.0108, 0.0096, 0.0074)], strict=True)))
    for number, (knuckle, bones, radii) in enumerate(FINGERS):
        fan = np.radians(arm.spread * (1.5 - number)) * thumb
        chain = [origin + axes @ v3(thumb * knuckle[0], knuckle[1], knuckle[2]) * scale]
        angle = 0.0
        for bone, most in zip(bones, (78.0, 98.0, 62.0), strict=True):
            angle += np.radians(most) * arm.curl[number + 1]
            way = v3(np.sin(fan) * np.cos(angle), np.cos(fan) * np.cos(angle), np.sin(angle))
            chain.append(chain[-1] + axes @ way * bone * scale)
        out.append(list(zip(chain, [r * scale for r in radii], strict=True)))
    return out


def _hand_axes(forearm: Array, palm: Array) -> Array:
    y = unit(forearm)
    z = unit(palm - y * float(palm @ y))
    return np.stack([np.cross(y, z), y, z], axis=1)


def solve(pose: Pose) -> Body:
    """Forward and inverse kinematics of one pose."""
    k = size_of(pose.kind)
    woman = pose.kind > 1.5
    p: dict[str, Array] = {}
    frames: dict[str, tuple[Array, Array]] = {}
    pelvis = np.array(pose.pelvis)
    hips = turn(*pose.hips)
    half_spine = turn(*(0.5 * a for a in pose.spine))
    chest_axes = hips @ turn(*pose.spine)
    lumbar = pelvis + hips @ v3(0.0, 0.09, 0.0) * k
    chest = lumbar + (hips @ half_spine) @ v3(0, 0.11, 0) * k + chest_axes @ v3(0.0, 0.12, 0.0) * k
    head_axes = chest_axes @ turn(*pose.neck)
    p["neck"] = chest + chest_axes @ v3(0.0, 0.205, -0.022) * k
    neck_axes = chest_axes @ turn(*(0.4 * a for a in pose.neck))
    p["necktop"] = p["neck"] + neck_axes @ v3(0.0, 0.105, 0.014) * k
    head = p["necktop"] + head_axes @ v3(0.0, 0.072, 0.026) * k
    frames["pelvis"], frames["chest"], frames["head"] = (pelvis, hips), (chest, chest_axes), (head, head_axes)

    hands = []
    for s, name in enumerate("lr"):
        sign = 1.0 if s == 0 else -1.0
        arm = pose.arms[s]
        upper, fore = 0.285 * k, 0.255 * k
        wide = 0.150 if woman else 0.174
        raised = max(arm.lift - 30.0, 0.0) / 100.0
        shoulder = chest + chest_axes @ v3(sign * (wide - 0.02 * raised), 0.140 + 0.05 * raised, -0.014) * k
        if arm.to is None:
            upper_axes = chest_axes @ turn(roll=sign * arm.lift) @ turn(pitch=-arm.swing) @ turn(yaw=-sign * arm.twist)
            elbow = shoulder - upper_axes[:, 1] * upper
            fore_axes = upper_axes @ turn(pitch=-arm.elbow) @ turn(yaw=-sign * arm.roll)
            wrist = elbow - fore_axes[:, 1] * fore
            axes = _hand_axes(-fore_axes[:, 1], -sign * fore_axes[:, 0])
        else:
            elbow, wrist = two_bones(shoulder, np.array(arm.to), upper, fore, np.array(arm.pole))
            axes = _hand_axes(wrist - elbow, -sign * chest_axes[:, 0])
        if arm.fingers is not None or arm.palm is not None:
            along = np.array(arm.fingers) if arm.fingers is not None else axes[:, 1]
            axes = _hand_axes(along, np.array(arm.palm) if arm.palm is not None else axes[:, 2])
        axes = axes @ turn(pitch=arm.bend)
        p["shoulder_" + name], p["elbow_" + name], p["wrist_" + name] = shoulder, elbow, wrist
        frames["hand_" + name] = (wrist, axes)
        hands.append(fingers_of(wrist, axes, s, arm, k * (0.92 if woman else 1.0)))

    for s, name in enumerate("lr"):
        sign = 1.0 if s == 0 else -1.0
        foot = pose.feet[s]
        hip = pelvis + hips @ v3(sign * 0.092, 0.0, 0.0) * k
        axes = turn(foot.yaw, foot.pitch, foot.roll)
        way = turn(foot.yaw)[:, 2] + 0.6 * hips[:, 2]
        pole = np.array(pose.knees) if pose.knees is not None else way
        knee, ankle = two_bones(hip, np.array(foot.at), 0.44 * k, 0.43 * k, pole)
        p["hip_" + name], p["knee_" + name], p["ankle_" + name] = hip, knee, ankle
        p["ball_" + name] = ankle + axes @ v3(0.0, -0.052, 0.108)
        p["toe_" + name] = p["ball_" + name] + axes @ turn(pitch=-foot.toes) @ v3(0.0, -0.006, 0.066)
        p["heel_" + name] = ankle + axes @ v3(0.0, -ANKLE_HEIGHT, -0.055)
        frames["foot_" + name] = (ankle, axes)
    return Body(pose, p, frames, (hands[0], hands[1]))


def _capsules(b: Body) -> list[tuple[Array, Array, float, float]]:
    """Start, end, bounding radius and shadow radius of the fourteen parts, in the order of the shader's bits."""
    p = b.points
    k = size_of(b.pose.kind)
    woman = b.pose.kind > 1.5
    head, head_axes = b.frames["head"]
    pelvis, hips = b.frames["pelvis"]
    chest, chest_axes = b.frames["chest"]
    out = [
        (head + head_axes @ v3(0.0, 0.02, -0.01), p["neck"], 0.150, 0.085 * k),
        (pelvis - hips[:, 1] * 0.03, chest + chest_axes @ v3(0.0, 0.14, -0.01), 0.27 * k, 0.145 * k),
    ]
    pairs: tuple[tuple[str, str, float, float], ...] = (
        ("shoulder", "elbow", 0.085, 0.052),
        ("elbow", "wrist", 0.075, 0.042),
    )
    for a, c, bound, dark in pairs:
        out += [(p[f"{a}_{s}"], p[f"{c}_{s}"], bound, dark) for s in "lr"]
    for s in "lr":
        origin, axes = b.frames["hand_" + s]
        out.append((origin + axes[:, 1] * 0.02, origin + axes[:, 1] * 0.10, 0.115, 0.032))
    out += [(p["hip_" + s], p["knee_" + s], 0.215 if woman else 0.135, 0.10 if woman else 0.082) for s in "lr"]
    out += [(p["knee_" + s], p["ankle_" + s], 0.095, 0.040 if woman else 0.058) for s in "lr"]
    for s in "lr":
        origin, axes = b.frames["foot_" + s]
        out.append((origin + axes @ v3(0.0, -0.04, -0.04), p["toe_" + s], 0.085, 0.042))
    return out


def pack(b: Body) -> NDArray[np.float32]:
    """The figure as vec4s [112, 4] float32 for the shader's array F."""
    pose, p = b.pose, b.points
    f = np.zeros((FIGURE_VECTORS, 4))
    for i, name in enumerate(("pelvis", "chest", "head", "hand_l", "hand_r", "foot_l", "foot_r")):
        origin, axes = b.frames[name]
        f[3 * i : 3 * i + 3, :3] = axes.T
        f[3 * i : 3 * i + 3, 3] = origin
    f[21, :3] = p["neck"]
    for i, name in enumerate(("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "ball", "toe")):
        f[22 + 2 * i, :3] = p[name + "_l"]
        f[23 + 2 * i, :3] = p[name + "_r"]
    at = 38
    for side in b.fingers:
        for finger in side:
            for point, radius in finger:
                f[at, :3], f[at, 3] = point, radius
                at += 1
    capsules = _capsules(b)
    for i, (start, end, bound, dark) in enumerate(capsules):
        f[78 + 2 * i, :3], f[78 + 2 * i, 3] = start, bound
        f[79 + 2 * i, :3], f[79 + 2 * i, 3] = end, dark
    ends = np.array([c[0] for c in capsules] + [c[1] for c in capsules])
    centre = 0.5 * (ends.min(axis=0) + ends.max(axis=0))
    far = max(float(np.linalg.norm(e - centre)) + c[2] for c, e in zip(capsules + capsules, ends, strict=True))
    face = pose.face
    f[106] = (pose.kind, 0.95 if pose.kind > 1.5 else 1.0, face.brow, face.gaze[1])
    f[107] = (face.lids, face.open, face.smile, face.gaze[0])
    f[108, :3] = p["necktop"]
    f[109, :3], f[109, 3] = centre, far
    return f.astype(np.float32)


def moved(pose: Pose, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Pose:
    """The pose shifted as a whole, hands that were told where to go included."""
    shift = np.array([dx, dy, dz])

    def at(v: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = np.array(v) + shift
        return float(x), float(y), float(z)

    arms = [replace(a, to=None if a.to is None else at(a.to)) for a in pose.arms]
    feet = [replace(f, at=at(f.at)) for f in pose.feet]
    return replace(pose, pelvis=at(pose.pelvis), arms=(arms[0], arms[1]), feet=(feet[0], feet[1]))

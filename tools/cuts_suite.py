"""Generated clips with exact truth: every trap of cut detection once, from seeds, the same on every machine.

Each scene is a painted world larger than the frame, with things that move in it, seen by a camera with a path; grain is over
everything. Clips are arrays; whoever wants files encodes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]
WIDTH, HEIGHT, WORLD = 192, 144, 3  # px; the world is so many frames wide and high
Camera = Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """One true transition, as the hand-made lists mark theirs: frame, and the range [start, end] that it covers."""

    frame: int
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Clip:
    """frames: uint8 [N, H, W, 3]. marks: what is true."""

    name: str
    frames: Pixels
    marks: tuple[Mark, ...]


def scene(seed: int, count: int, camera: Camera = lambda k: (0.6 * k, 0.0), grey: bool = False, grain: float = 2.0,
          things: int = 3) -> Light:  # fmt: skip
    """float32 [count, H, W, 3] in 0..255: one shot. camera: place in px by frame; grain: its deviation in levels."""
    rng = np.random.default_rng([1967, seed])
    w, h = WIDTH * WORLD, HEIGHT * WORLD
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    a, b = rng.uniform(0, 2 * np.pi, 2)
    ramp = (np.cos(a) * x / w + np.sin(a) * y / h)[:, :, None]
    world = rng.uniform(30, 220, 3).astype(np.float32) + ramp * rng.uniform(-90, 90, 3).astype(np.float32)  # [h, w, 3]
    for _ in range(70):
        cx, cy, sx, sy = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(6, 60), rng.uniform(6, 60)
        tone = rng.uniform(0, 255, 3).astype(np.float32)
        x0, x1, y0, y1 = int(max(cx - sx, 0)), int(cx + sx) + 1, int(max(cy - sy, 0)), int(cy + sy) + 1
        if rng.random() < 0.5:
            world[y0:y1, x0:x1] = tone
        else:
            inside = ((x[y0:y1, x0:x1] - cx) / sx) ** 2 + ((y[y0:y1, x0:x1] - cy) / sy) ** 2 < 1
            world[y0:y1, x0:x1][inside] = tone
    waves = 12 * np.sin(x / rng.uniform(3, 9) + b) * np.sin(y / rng.uniform(3, 9))
    world += waves[:, :, None]
    sprites = [(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(-2, 2), rng.uniform(-1, 1), rng.uniform(8, 26),
                rng.uniform(0, 255, 3).astype(np.float32)) for _ in range(things)]  # fmt: skip
    out = np.empty((count, HEIGHT, WIDTH, 3), np.float32)
    middle_x, middle_y = (w - WIDTH) / 2, (h - HEIGHT) / 2
    fy, fx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for k in range(count):
        dx, dy = camera(k)
        left = int(np.clip(round(middle_x + dx), 0, w - WIDTH))
        top = int(np.clip(round(middle_y + dy), 0, h - HEIGHT))
        picture = world[top : top + HEIGHT, left : left + WIDTH].copy()
        for sx0, sy0, vx, vy, r, tone in sprites:
            inside = (fx - _bounced(sx0 + vx * k, WIDTH)) ** 2 + (fy - _bounced(sy0 + vy * k, HEIGHT)) ** 2 < r * r
            picture[inside] = tone
        out[k] = picture
    if grey:
        out[:] = out.mean(axis=3, keepdims=True)
    noise = rng.normal(0, grain, (count, HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.clip(out + noise, 0, 255)


def _bounced(place: float, size: int) -> float:
    """A thing's place that turns round at the frame's edges."""
    place %= 2 * size
    return min(place, 2 * size - place)


def joined(*shots: Light) -> tuple[Light, tuple[Mark, ...]]:
    """Shots one after the other, with their hard cuts."""
    at = np.cumsum([len(s) for s in shots])[:-1]
    return np.concatenate(shots), tuple(Mark(int(f), "cut", int(f), int(f)) for f in at)


def dissolved(a: Light, b: Light, length: int) -> tuple[Light, tuple[Mark, ...]]:
    """a, then over `length` frames b, in the picture's own values as editors' programs mix; DESIGN's weights."""
    weight = ((np.arange(length, dtype=np.float32) + 1) / (length + 1))[:, None, None, None]
    mixed = (1 - weight) * a[len(a) - length :] + weight * b[:length]
    start = len(a) - length
    return np.concatenate([a[:start], mixed, b[length:]]), (Mark(start, "dissolve", start, start + length),)


def faded(shot: Light, length: int, tone: float, out: bool) -> Light:
    """The shot with its last (out) or first `length` frames going to or coming from a tone."""
    weight = ((np.arange(length, dtype=np.float32) + 1) / (length + 1))[:, None, None, None]
    made = shot.copy()
    if out:
        made[-length:] = (1 - weight) * shot[-length:] + weight * tone
    else:
        made[:length] = weight * shot[:length] + (1 - weight) * tone
    return made


def flat(count: int, tone: float, grain: float = 1.0, seed: int = 0) -> Light:
    """An empty picture."""
    noise = np.random.default_rng([3, seed]).normal(0, grain, (count, HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.clip(np.full((count, HEIGHT, WIDTH, 3), tone, np.float32) + noise, 0, 255)


def blurred_tilt(seed: int, count: int, begin: int, length: int, distance: float, sideways: bool = False) -> Light:
    """A shot in which the camera is thrown by `distance` px within `length` frames, each frame blurred along its own way."""
    def place(k: float) -> float:
        phase = np.clip((k - begin) / length, 0, 1)
        return float(distance * (0.5 - 0.5 * np.cos(np.pi * phase)))

    parts = []
    for sub in np.linspace(0, 0.5, 4):  # a shutter that is open for half of the frame's time
        def camera(k: int, sub: float = float(sub)) -> tuple[float, float]:
            moved = place(k + sub) - distance / 2
            return (moved, 0.0) if sideways else (0.0, moved)

        parts.append(scene(seed, count, camera, grain=0.0, things=0))
    noise = np.random.default_rng([5, seed]).normal(0, 2, (count, HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.clip(np.mean(parts, axis=0) + noise, 0, 255).astype(np.float32)


def title(seed: int, count: int, tone: float = 230.0) -> Light:
    """Rows of small marks on black, as a title card has."""
    rng = np.random.default_rng([7, seed])
    card = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    for row in range(2 + seed % 3):
        top = HEIGHT // 2 - 14 + 11 * row
        at = int(rng.integers(20, 70))
        while at < WIDTH - 30 - int(rng.integers(0, 40)):
            wide = int(rng.integers(2, 6))
            card[top : top + 6, at : at + wide] = tone
            at += wide + int(rng.integers(1, 4))
    noise = rng.normal(0, 1, (count, HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.clip(np.repeat(card[None, :, :, None], count, axis=0) + noise, 0, 255) * np.ones(3, np.float32)


def _uint8(light: Light) -> Pixels:
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _cuts(grey: bool) -> tuple[Light, tuple[Mark, ...]]:
    return joined(*(scene(10 + i, n, grey=grey) for i, n in enumerate((30, 17, 41, 12, 26))))


def _flash() -> tuple[Light, tuple[Mark, ...]]:
    one, two = scene(20, 80), scene(21, 50)
    one[20] = 0.35 * one[20] + 170  # a lamp, one frame
    one[40:43] = np.clip(one[40:43] * 2.6 + 60, 0, 255)  # three frames, burnt out in the lights
    one[60] = 255  # lightning: nothing but white
    two[25:27] = np.clip(two[25:27] + 120, 0, 255)
    return joined(one, two)


def _ridden(seed: int, count: int, a_frame: float) -> Light:
    """A shot in which the camera rides into the picture, by the factor `a_frame` a frame."""
    shot = scene(seed, count, lambda k: (0.0, 0.0), grain=0.0)
    fy, fx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for k in range(count):
        share = a_frame ** -k
        y = np.rint((fy - HEIGHT / 2) * share + HEIGHT / 2).clip(0, HEIGHT - 1).astype(int)
        x = np.rint((fx - WIDTH / 2) * share + WIDTH / 2).clip(0, WIDTH - 1).astype(int)
        shot[k] = shot[k][y, x]
    noise = np.random.default_rng([5, seed]).normal(0, 2, (count, HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.clip(shot + noise, 0, 255).astype(np.float32)


def _moving_flash() -> tuple[Light, tuple[Mark, ...]]:
    """White, and a lamp, for some frames, while the camera rides so fast that what comes after lies over nothing of what was
    before; and white at a cut between two such shots, which is one."""
    shots = [_ridden(140, 40, 1.10), _ridden(143, 40, 1.12), scene(146, 30)]
    shots[0][8:11] = shots[0][20:24] = shots[1][6:8] = shots[1][16:20] = shots[1][-2:] = 255
    shots[0][30:32] = 0.35 * shots[0][30:32] + 150
    return joined(*shots)


def _ramp() -> tuple[Light, tuple[Mark, ...]]:
    one = scene(30, 70)
    gain = np.concatenate([np.linspace(1.9, 0.6, 25), np.full(20, 0.6), np.linspace(0.6, 1.4, 6), np.full(19, 1.4)])
    one = np.clip(one * gain.astype(np.float32)[:, None, None, None], 0, 255)
    return joined(one, scene(31, 30))


def _tilt(slow: bool) -> tuple[Light, tuple[Mark, ...]]:
    if slow:
        return joined(blurred_tilt(40, 50, 18, 14, 250), scene(41, 30))
    one, two = blurred_tilt(42, 50, 20, 5, 190), blurred_tilt(43, 40, 15, 3, 110, sideways=True)
    return joined(one, two, scene(44, 24))


def _dissolves() -> tuple[Light, tuple[Mark, ...]]:
    clip, marks = scene(50, 40), ()  # type: tuple[Light, tuple[Mark, ...]]
    for seed, length in ((51, 8), (52, 16), (53, 32), (54, 6)):
        clip, new = dissolved(clip, scene(seed, 70), length)
        marks += new
    return clip, marks


def _fades() -> tuple[Light, tuple[Mark, ...]]:
    a, b = faded(scene(60, 50), 18, 0, True), faded(scene(61, 60), 14, 0, False)
    c, d = faded(scene(62, 50), 10, 255, True), faded(scene(63, 50), 10, 255, False)
    clip = np.concatenate([a, flat(8, 0), b, c, d])
    black_to = len(a) + 8
    white = black_to + len(b) + len(c)
    cut = black_to + len(b)
    return clip, (Mark(black_to, "fade", len(a) - 18, black_to + 14), Mark(cut, "cut", cut, cut),
                  Mark(white, "fade", white - 10, white + 10))  # fmt: skip


def _short(length: int) -> tuple[Light, tuple[Mark, ...]]:
    return joined(*(scene(70 + i, n) for i, n in enumerate((30, length, length, 30, length, 24))))


def _insert() -> tuple[Light, tuple[Mark, ...]]:
    """A shot that is broken by three frames of another one, and goes on."""
    whole = scene(80, 60)
    return joined(whole[:30], scene(81, 3), whole[30:])


def _bars(clip: Light, top: int, side: int) -> Light:
    made = clip.copy()
    if top:
        made[:, :top] = made[:, -top:] = 0
    if side:
        made[:, :, :side] = made[:, :, -side:] = 0
    return made


def _low(gain: float, tone: float) -> tuple[Light, tuple[Mark, ...]]:
    clip, marks = joined(*(scene(90 + i, n, grain=0.0) for i, n in enumerate((28, 22, 30, 20))))
    noise = np.random.default_rng(9).normal(0, 1, (*clip.shape[:3], 1)).astype(np.float32)
    return np.clip((clip - 128) * gain + tone + noise, 0, 255), marks


def _old_film() -> tuple[Light, tuple[Mark, ...]]:
    """Grey, coarse grain, a lamp that flickers, a gate that weaves, scratches, dust."""
    rng = np.random.default_rng(11)
    weave = rng.normal(0, 1.0, (400, 2))
    shots = [scene(100 + i, n, lambda k: (0.5 * k + weave[k, 0], weave[k, 1]), grey=True, grain=9.0)
             for i, n in enumerate((34, 25, 40, 31))]  # fmt: skip
    clip, marks = joined(*shots)
    clip = clip * rng.normal(1, 0.06, len(clip)).astype(np.float32)[:, None, None, None]
    for k in range(len(clip)):
        clip[k, :, int(rng.integers(0, WIDTH))] = 240
        for _ in range(3):
            y, x = int(rng.integers(0, HEIGHT - 6)), int(rng.integers(0, WIDTH - 8))
            clip[k, y : y + int(rng.integers(2, 6)), x : x + int(rng.integers(2, 8))] = rng.choice([5.0, 250.0])
    return np.clip(clip, 0, 255), marks


def _passer() -> tuple[Light, tuple[Mark, ...]]:
    """Something dark goes by close to the lens and fills the frame: no cut."""
    one = scene(110, 60)
    for k in range(18, 34):
        right = int((k - 18) * 24)
        one[k, :, max(0, right - 190) : max(0, right)] = np.array([35, 28, 25], np.float32)
    return joined(one, scene(111, 25))


def _titles() -> tuple[Light, tuple[Mark, ...]]:
    clip, marks = joined(title(1, 30), title(2, 30), faded(title(3, 30), 10, 2, True), flat(6, 2), title(4, 30))
    return clip, (*marks[:2], Mark(96, "fade", 80, 96))


def _still() -> tuple[Light, tuple[Mark, ...]]:
    """Nothing moves: drawings, photographs."""
    return joined(*(np.repeat(scene(120 + i, 1, grain=0.0), n, axis=0) for i, n in enumerate((20, 12, 30, 3, 16))))


def _blended() -> tuple[Light, tuple[Mark, ...]]:
    """A change of frame rate has mixed one frame at every cut: still one cut each."""
    clip, marks = joined(*(scene(130 + i, n) for i, n in enumerate((30, 26, 33))))
    for mark in marks:
        clip[mark.frame] = 0.5 * clip[mark.frame - 1] + 0.5 * clip[mark.frame + 1]
    return clip, marks


MAKERS: dict[str, Callable[[], tuple[Light, tuple[Mark, ...]]]] = {
    "hard cuts, colour": lambda: _cuts(False),
    "hard cuts, grey": lambda: _cuts(True),
    "3-frame shots": lambda: _short(3),
    "1-frame shots": lambda: _short(1),
    "3 frames inserted": _insert,
    "nothing moves": _still,
    "bars above and below": lambda: _with_bars(34, 0),
    "bars all round": lambda: _with_bars(22, 40),
    "low contrast": lambda: _low(0.10, 128),
    "dark": lambda: _low(0.14, 26),
    "old film": _old_film,
    "blended frames": _blended,
    "flashes": _flash,
    "flashes in motion": _moving_flash,
    "fast tilt": lambda: _tilt(True),
    "violent tilt and pan": lambda: _tilt(False),
    "brightness ramps": _ramp,
    "passer-by": _passer,
    "dissolves": _dissolves,
    "fades": _fades,
    "title cards": _titles,
}


def _with_bars(top: int, side: int) -> tuple[Light, tuple[Mark, ...]]:
    clip, marks = _cuts(False)
    return _bars(clip, top, side), marks


def clips() -> Iterator[Clip]:
    """All of them, one after the other."""
    for name in MAKERS:
        yield clip_named(name)


def clip_named(name: str) -> Clip:
    """One of MAKERS."""
    light, marks = MAKERS[name]()
    return Clip(name, _uint8(light), marks)


def _random_camera(rng: np.random.Generator) -> Camera:
    """Still, panning, held by hand, swaying, or setting off in the middle of the shot."""
    kind, vx, vy = int(rng.integers(0, 5)), *rng.normal(0, 2.5, 2)
    shake, speed = rng.normal(0, 1.5, (400, 2)), rng.uniform(3, 9)
    cameras: tuple[Camera, ...] = (
        lambda k: (0.0, 0.0),
        lambda k: (vx * k, vy * k),
        lambda k: (vx * k + shake[k, 0], 0.3 * vy * k + shake[k, 1]),
        lambda k: (40 * np.sin(k / 9) * np.sign(vx), 10 * np.cos(k / 7)),
        lambda k: (speed * max(0, k - 8), 0.0),
    )
    return cameras[kind]


def random_film(seed: int, shots: int = 10) -> Clip:
    """A film of shots of 3 to 60 frames with cameras, figures, light and grain at random, a quarter of them dissolved into."""
    rng = np.random.default_rng([12, seed])
    film: Light | None = None
    marks: list[Mark] = []
    for i in range(shots):
        count = int(rng.choice([3, 5, 8, 14, 25, 40, 60]))
        grain, things = float(rng.uniform(0, 5)), int(rng.integers(0, 7))
        shot = scene(5000 + 50 * seed + i, count, _random_camera(rng), seed % 3 == 0, grain, things)
        if rng.random() < 0.3:
            shot = shot * np.float32(rng.uniform(0.15, 0.5))
        wanted = int(rng.choice([6, 10, 16, 24])) if rng.random() < 0.3 and count >= 25 else 0
        if film is None:
            film = shot
            continue
        length = min(wanted, count - 4, len(film) - (marks[-1].end if marks else 0) - 8)
        if length >= 4:
            film, new = dissolved(film, shot, length)
            marks += new
        else:
            marks.append(Mark(len(film), "cut", len(film), len(film)))
            film = np.concatenate([film, shot])
    assert film is not None
    return Clip(f"random film {seed}", _uint8(film), tuple(marks))

"""The demo film's shots: what is seen, from where, in what light, and how long. This table is the cut list's source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from player.show.cut_list import CutList, Shot
from tools import film_acts as act
from tools import film_pairs as pair
from tools.film_acts import RATE
from tools.film_body import ease, mix
from tools.film_draw import Scene
from tools.film_gait import Walker


@dataclass(frozen=True)
class Take:
    """One shot before it has a place in the film; scene takes seconds since its start and goes on past its end."""

    label: str
    group: str
    frames: int
    scene: Callable[[float], Scene]
    into: str = "cut"
    in_frames: int = 0
    out_frames: int = 0  # of a fade to black
    sounds: tuple[tuple[str, tuple[float, ...]], ...] = ()  # kind, seconds since the start of the shot


def _alone(t: float) -> Scene:
    s = ease(t, 0.0, 3.6)
    return Scene((act.alone(t),), (0.5, mix(1.45, 1.4, s), mix(6.6, 5.9, s)), (0.0, 0.98, 0.0), 27.0)


def _walk(t: float, looking: bool = False) -> Scene:
    pose = act.walks_looking(t) if looking else act.walks(t)
    x = act.WALK.steps[2].x + (t - act.WALK.steps[2].strike_s) * 0.66 / act.STEP_S
    slide = 0.45 - 0.22 * t
    return Scene((pose,), (x + slide, 1.05, 3.55), (x + slide, 0.93, 0.0), 31.0, sun=(-0.6, 0.9, 0.7))


def _feet(t: float) -> Scene:
    x = act.FEET.steps[2].x - (t - act.FEET.steps[2].strike_s) * 0.64 / act.STEP_S
    x -= 0.08 - 0.05 * t
    return Scene((act.feet_walk(t),), (x + 0.15, 0.20, 1.75), (x, 0.23, 0.0), 27.0, floor=1.15, horizon=0.85, above=0.70, sun=(0.7, 0.8, 0.5), hardness=4.0)


def _face(t: float) -> Scene:
    return Scene((act.face_turns(t),), (0.06, 1.66, 1.35), (0.02, 1.635, 0.03), 18.5, sun=(-0.8, 0.6, 0.65), sky=0.34, vignette=0.14)


def _eye(t: float) -> Scene:
    return Scene((act.eye(t),), (0.10, 1.675, 1.1), (0.036, 1.668, 0.1), 4.6, sun=(-0.7, 0.7, 0.8), exposure=1.7, vignette=0.22)


def _hands(t: float) -> Scene:
    return Scene((act.hands_move(t),), (0.0, 1.40, 1.42), (0.0, 1.365, 0.40), 24.0, sun=(-0.75, 0.6, 0.55), key=1.45, sky=0.22, exposure=1.9,
                 horizon=0.13, above=0.07, floor=0.2, vignette=0.2)


def _clap_dark(t: float) -> Scene:
    return Scene((act.claps(t, act.CLAP_ONCE_S, act.MAN_IN_JACKET),), (0.34, 1.42, 1.25), (0.0, 1.34, 0.38), 24.0, sun=(-0.75, 0.6, 0.55), key=1.45, sky=0.22,
                 exposure=1.9, horizon=0.13, above=0.07, floor=0.2, vignette=0.2)


def _clap(t: float) -> Scene:
    return Scene((act.claps(t),), (0.30, 1.42, 2.25), (0.02, 1.33, 0.05), 26.0, sun=(-0.8, 0.75, 0.45), sky=0.36, horizon=0.95, above=0.62)


def _table(t: float) -> Scene:
    return Scene((act.sits(t),), (3.0, 1.34, 2.25), (0.0, 0.86, 0.28), 31.5, table=True, sun=(-0.35, 0.95, 0.75), fork=((0.16, 0.7415, 0.60), (0.16, 0.7415, 0.43)))


def _eating(t: float) -> Scene:
    pose, fork = act.eats(t)
    return Scene((pose,), (0.62, 1.30, 2.15), (0.0, 1.03, 0.25), 25.0, table=True, fork=fork, sun=(-0.9, 0.75, 0.35), sky=0.27, key=1.35,
                 horizon=0.42, above=0.25, floor=0.6, vignette=0.18)


def _floor(t: float) -> Scene:
    return Scene((act.lies_down(t),), (0.55, 1.55, 3.3), (0.0, 0.30, 0.0), 28.0, sun=(-0.5, 0.8, -0.35), hardness=3.0)


def _jump(t: float) -> Scene:
    return Scene((act.jumps(t),), (0.95, 0.28, 3.7), (0.0, 1.24, 0.0), 38.0, sun=(-0.8, 0.8, 0.6), horizon=1.0, above=0.50)


def _woman(t: float) -> Scene:
    return Scene((act.woman_turns(t),), (0.0, 1.15, 4.4), (0.0, 0.90, 0.0), 26.0, sun=(-0.8, 0.9, 0.5), sky=0.30, horizon=0.26, above=0.09, floor=0.42, vignette=0.22)


def _her_face(t: float) -> Scene:
    return Scene((act.her_face(t),), (-0.16, 1.53, 1.25), (-0.01, 1.545, 0.02), 19.0, sun=(0.85, 0.55, 0.5), sky=0.26, key=1.35, horizon=0.20, above=0.12, vignette=0.2)


def _twist(t: float) -> Scene:
    return Scene((act.twists(t),), (0.9, 0.80, 3.6), (0.0, 0.82, 0.0), 29.0, sun=(-0.7, 0.9, 0.5), hardness=4.0)


def _nape(t: float) -> Scene:
    return Scene((act.back_of_head(t),), (-0.10, 1.68, -1.35), (0.0, 1.61, 0.0), 20.0, sun=(0.9, 0.6, -0.3), horizon=0.75, above=0.55, vignette=0.2)


def _meet(t: float) -> Scene:
    return Scene(pair.meet(t), (0.0, 1.25, 5.3), (0.0, 0.92, 0.0), 28.0)


def _their_hands(t: float) -> Scene:
    return Scene(pair.take_hands(t), (0.05, 1.20, 1.30), (0.0, 1.03 + 0.03 * ease(t, 1.4, 2.6), 0.13), 24.0, sun=(-0.5, 0.9, 0.6), horizon=0.50, above=0.36, floor=0.5, vignette=0.18)


def _together(t: float) -> Scene:
    return Scene(pair.dance_together(t), (0.0, 1.25, 4.6), (0.0, 0.98, 0.0), 27.0)


def _away(t: float) -> Scene:
    return Scene((act.walks_away(t),), (0.25, 1.55, 4.2), (0.0, 0.95, 0.0), 27.0)


def strikes(walker: Walker, first: int, frames: int) -> tuple[float, ...]:
    """Heel strikes of a walk within the frames [first, frames) of its shot, in seconds."""
    return tuple(s for s in walker.strikes() if first / RATE <= s < frames / RATE - 1e-9)


def _beats(step: int, frames: int) -> tuple[float, ...]:
    return tuple(float(f) / RATE for f in np.arange(0, frames, step))


_LANDINGS = tuple((f + act.FLIGHT) / RATE for f in act.TAKEOFFS)
_OFFS = tuple(f / RATE for f in act.TAKEOFFS)

TAKES: tuple[Take, ...] = (
    Take("stands alone in the white room", "room", 78, _alone, "fade", 18),
    Take("walks, in profile", "walk", 104, _walk, sounds=(("chord", (0.0,)), ("step", strikes(act.WALK, 0, 104)))),
    Take("feet walk", "feet", 68, _feet, sounds=(("step", strikes(act.FEET, 0, 68)),)),
    Take("his face turns to us", "his face", 96, _face, sounds=(("chord", (0.0,)),)),
    Take("an eye", "eye", 11, _eye, sounds=(("tick", (0.0,)),)),
    Take("hands close and open", "hands", 96, _hands, sounds=(("chord", (0.0,)),)),
    Take("claps his hands", "clap", 80, _clap, sounds=(("clap", act.CLAPS_S),)),
    Take("one clap, close", "hands", 9, _clap_dark, sounds=(("clap", act.CLAP_ONCE_S),)),
    Take("sits down at a table", "table", 88, _table, sounds=(("chair", (1.55,)), ("chord", (0.0,)))),
    Take("eats", "eating", 108, _eating, sounds=(("cutlery", (0.25, 0.42, 2.25, 2.5)),)),
    Take("lies down on the floor", "floor", 104, _floor, "dissolve", 20, out_frames=16, sounds=(("breath", (0.6, 2.4)),)),
    Take("jumps", "jump", 84, _jump, "fade", 12, sounds=(("leap", _OFFS), ("land", _LANDINGS))),
    Take("a woman turns round", "woman", 104, _woman, sounds=(("chord", (0.0,)), ("step", strikes(act.TURN, 0, 104)))),
    Take("she looks up and smiles", "her face", 84, _her_face, "dissolve", 16),
    Take("dances the twist", "dance", 110, _twist, sounds=(("beat", _beats(act.BEAT, 110)),)),
    Take("the back of his head", "nape", 60, _nape, sounds=(("chord", (0.0,)),)),
    Take("two walk up to each other", "two", 106, _meet,
         sounds=(("step", strikes(pair.HIS_WALK, 0, 106)), ("heel", strikes(pair.HER_WALK, 0, 106)))),
    Take("they take hands", "their hands", 66, _their_hands, sounds=(("chord", (0.0,)),)),
    Take("the two dance together", "two", 98, _together,
         sounds=(("waltz", strikes(pair.HIS_CIRCLE, 0, 98)),)),
    Take("walks on and looks at us", "walk", 82, lambda t: _walk(t, True), sounds=(("step", strikes(act.WALK, 0, 82)),)),
    Take("walks away into the white", "away", 92, _away, out_frames=26, sounds=(("chord", (0.0,)), ("step", strikes(act.AWAY, 0, 92)))),
)


def cut_list(film: str = "film.mp4") -> CutList:
    """The film's exact cut list."""
    shots, start = [], 0
    for number, take in enumerate(TAKES, 1):
        fades = take.out_frames > 0
        shots.append(Shot(
            number, start, start + take.frames, take.into, take.in_frames, "black" if take.into == "fade" else "",
            "fade" if fades else "cut", take.out_frames, "black" if fades else "", take.label, take.group,
        ))
        start += take.frames
    return CutList(film, Fraction(RATE), start, tuple(shots))


def events() -> list[tuple[int, str]]:
    """Everything heard at a frame of the film: (frame, kind), in order of frames."""
    found, start = [], 0
    for take in TAKES:
        for kind, times in take.sounds:
            found += [(start + round(s * RATE), kind) for s in times if round(s * RATE) < take.frames]
        start += take.frames
    return sorted(found)

"""The Parameter table: every controllable value, declared once.

From this table come the OSC addresses, the keyboard help, the reference page and the state's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from player.show.styling import NAME as STYLE_NAME

Value = float | int | bool | str | None
Kind = Literal["trigger", "float", "int", "bool", "text"]


@dataclass(frozen=True)
class Parameter:
    """One controllable value.

    address: OSC address; '*' stands for a shot number. kind: trigger takes no argument.
    low, high: inclusive range of numbers; values outside are clipped and reported. glides: a change takes time
    (seconds, the optional second argument of the message or the show's control.glide_s) along a straight line.
    """

    address: str
    kind: Kind
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    glides: bool = False

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rpartition("/")[2]


def _f(address: str, default: float, low: float, high: float, unit: str, description: str, glides: bool = True) -> Parameter:
    return Parameter(address, "float", default, description, low, high, unit, glides)


TRANSPORT = (
    Parameter("/cineml/transport/play", "trigger", None, "Play on from where the film stands."),
    Parameter("/cineml/transport/pause", "trigger", None, "Hold picture and sound where they are; a camera goes on (freeze "
              "holds that too)."),
    Parameter("/cineml/transport/stop", "trigger", None, "Go to the first frame and hold there, output black."),
    Parameter("/cineml/transport/go", "trigger", None, "Fire the next cue that waits for GO; with none waiting, play."),
    Parameter("/cineml/transport/seek_s", "float", 0.0, "Go to this film time.", 0.0, 86400.0, "s"),
    Parameter("/cineml/transport/seek_frame", "int", 0, "Go to this film frame.", 0, 10_000_000, "frames"),
    Parameter("/cineml/transport/rate", "float", 1.0, "Film seconds a second; sound plays at 1 only.", 0.0, 4.0, ""),
    Parameter("/cineml/transport/loop", "bool", True, "Start again at the end."),
    Parameter("/cineml/shot/*/go", "trigger", None, "Go to the first frame of this shot and play."),
)
OUTPUT = (
    Parameter("/cineml/output/blackout", "bool", False, "Black at once; sound and clock run on."),
    Parameter("/cineml/output/freeze", "bool", False, "Hold this picture; sound and clock run on."),
    Parameter("/cineml/output/captions", "bool", True, "Show the captions, where the show has them."),
    _f("/cineml/output/fade", 1.0, 0.0, 1.0, "", "Picture brightness in linear light: 1 full picture, 0 black."),
)
SOURCE = (
    _f("/cineml/source/mix_offset", 0.0, -1.0, 1.0, "",
       "Added to the score's mix in shots that have two sources: 1 is the first alone, -1 the one under it alone. A stylised "
       "shot has what it is played over under it, where the score names nothing."),
)
LOOK = (
    Parameter("/cineml/look/select", "text", "", "Play this look of the show; empty gives the score's own look back."),
    _f("/cineml/look/grain", 0.0, 0.0, 1.0, "", "Film grain: standard deviation in quarter tones of the display."),
    _f("/cineml/look/weave", 0.0, 0.0, 1.0, "% of height", "Gate weave: how far the picture wanders in the gate."),
    _f("/cineml/look/flicker", 0.0, 0.0, 1.0, "", "Lamp flicker: 1 swings the light by a fifth."),
    _f("/cineml/look/vignette", 0.0, 0.0, 1.0, "", "Fall of light to the corners: 1 leaves them a quarter."),
    _f("/cineml/look/blur", 0.0, 0.0, 4.0, "% of height", "Projection blur: radius of a soft lens."),
    _f("/cineml/look/exposure", 0.0, -4.0, 4.0, "stops", "Grade: light before the curve."),
    _f("/cineml/look/contrast", 1.0, 0.25, 3.0, "", "Grade: slope around middle grey."),
    _f("/cineml/look/saturation", 1.0, 0.0, 2.0, "", "Grade: 0 is black and white."),
    _f("/cineml/look/warmth", 0.0, -1.0, 1.0, "", "Grade: -1 cold moonlight, 1 tungsten."),
    Parameter("/cineml/look/hold", "bool", False, "Hold each generator picture instead of blending two of one shot."),
    Parameter("/cineml/look/step_print", "int", 0, "Step printing: each frame stays for so many film frames, and the figure "
              "moves on where a mask shows it; 0 and 1 hold none.", 0, 12, "frames"),
    _f("/cineml/look/smear", 0.0, 0.0, 1.0, "", "Of step printing: how much of the frames skipped is in the one that is held."),
)
STYLE = (
    _f("/cineml/style/*/weight", 0.0, 0.0, 1.0, "", "Sets the weight of this style in stylised shots, instead of the score's."),
    _f("/cineml/style/*/offset", 0.0, -1.0, 1.0, "", "Added to the weight of this style. Weights are shares of their sum."),
    Parameter("/cineml/style/release", "trigger", None, "Give all weights that a hand has set back to the score."),
    _f("/cineml/style/smooth_offset", 0.0, -1.0, 1.0, "", "Added to the score's smoothing of stylised shots over time."),
    _f("/cineml/style/mask_amount", 1.0, -1.0, 1.0, "",
       "How much a stylised shot's mask counts: at 0 all is stylised, below 0 the mask's other side."),
)
LATENT = (
    _f("/cineml/latent/truncation", 1.0, 0.0, 1.5, "", "psi: 0 is the generator's mean picture, 1 the score's own."),
    _f("/cineml/latent/walk_offset", 0.0, -240.0, 240.0, "frames", "Reads the walk this many frames later."),
    _f("/cineml/latent/freedom", 0.0, 0.0, 4.0, "sigma of W", "How far the latent may wander from the score's path."),
    Parameter("/cineml/latent/noise_seed", "int", 0, "Seed of the generator's noise; 0 is the noise it was trained with.",
              0, 2**31 - 1),
    _f("/cineml/latent/noise_amount", 1.0, 0.0, 4.0, "", "Strength of the generator's noise.", glides=True),
    Parameter("/cineml/latent/key", "text", "", "Jump to this key latent until the shot ends; empty returns to the walk."),
)
SOUND = (
    _f("/cineml/sound/volume", 1.0, 0.0, 1.0, "", "Linear gain of the soundtrack."),
    Parameter("/cineml/sound/mute", "bool", False, "Silence; the clock runs on."),
    _f("/cineml/sound/delay_ms", 0.0, -1000.0, 1000.0, "ms",
       "The projector's lag: pictures are sent this much earlier, so that they are seen with their sound.", glides=False),
)
# Not reachable by OSC rules of DESIGN section 6, but commands like all others: from the keyboard and the window.
WINDOW = (
    Parameter("/cineml/window/fullscreen", "bool", False, "Fill the monitor."),
    Parameter("/cineml/window/overlay", "bool", False, "Lines for technicians over the picture."),
    Parameter("/cineml/window/quit", "trigger", None, "End the show."),
)
TABLE: tuple[Parameter, ...] = TRANSPORT + OUTPUT + SOURCE + LOOK + STYLE + LATENT + SOUND + WINDOW
BY_ADDRESS: Mapping[str, Parameter] = {p.address: p for p in TABLE}
LOOK_NAMES: tuple[str, ...] = tuple(p.name for p in LOOK if p.name != "select")


def find(address: str) -> Parameter | None:
    """The parameter of an address; /cineml/shot/12/go finds /cineml/shot/*/go, /cineml/style/ink/weight finds
    /cineml/style/*/weight."""
    parts = address.split("/")
    if len(parts) == 5 and parts[:3] == ["", "cineml", "shot"] and parts[3].isdigit():
        return BY_ADDRESS.get(f"/cineml/shot/*/{parts[4]}")
    if len(parts) == 5 and parts[:3] == ["", "cineml", "style"] and STYLE_NAME.fullmatch(parts[3]):
        return BY_ADDRESS.get(f"/cineml/style/*/{parts[4]}")
    return None if "*" in address else BY_ADDRESS.get(address)

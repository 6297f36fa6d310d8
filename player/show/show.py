"""The show: film, cuts, score, looks, cues, outputs and control in one immutable object, loaded by config.load_show."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from player.show.cut_list import CutList
from player.show.film import Film
from player.show.parameter import Value
from player.show.score import Score, ScoreShot
from player.show.styling import Styling

SHOW_SOURCES = ("generator", "stylizer", "film", "clip", "camera", "testcard", "black")
FITS = ("contain", "cover")
CAPTION_PLACES = ("bottom", "middle", "top")


@dataclass(frozen=True)
class Look:
    """A named appearance: values by the names of parameter.LOOK_NAMES; what it leaves out keeps its default."""

    name: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cue:
    """A prepared change: at a film frame (every time the film passes it), or None: waits for GO.

    sends: (address, value, glide_s or None) in order.
    """

    name: str
    at_frame: int | None
    sends: tuple[tuple[str, Value, float | None], ...]


@dataclass(frozen=True)
class Output:
    """One physical picture. role: 'main'. size: pixels of the window or the offscreen picture. monitor: by name or
    position ('HDMI-1', '2', 'left', 'primary'), '' = primary. fit: contain shows all of the film, cover fills."""

    role: str = "main"
    size: tuple[int, int] = (1280, 720)
    refresh_hz: float = 60.0
    fit: str = "contain"
    monitor: str = ""
    fullscreen: bool = False


@dataclass(frozen=True)
class CaptionStyle:
    """Titles and captions over the picture. file: SRT. size: of a letter, in % of the picture's height. position: of
    CAPTION_PLACES. burn_in: shown from the start; else /cineml/output/captions shows them, and a remake carries them as a
    track. font: a font's file, None = the one that Pillow brings, or where that lacks letters one of the machine's."""

    file: Path
    size: float = 5.0
    position: str = "bottom"
    burn_in: bool = True
    font: Path | None = None


@dataclass(frozen=True)
class SoundOut:
    """Where the sound goes. device: by (part of a) name, '' = default. channels: for each channel of the soundtrack the
    device channel from 1 that plays it; empty = in order. delay_ms: see the parameter. buffer_ms: asked latency (60
    underran on a busy machine)."""

    device: str = ""
    channels: tuple[int, ...] = ()
    volume: float = 1.0
    delay_ms: float = 0.0
    buffer_ms: float = 100.0


@dataclass(frozen=True)
class Control:
    """osc_port 0 turns OSC off. osc_bind: 127.0.0.1 unless the venue says otherwise; allow: senders' addresses, empty =
    all that reach osc_bind. glide_s: how long a gliding parameter takes when the message does not say."""

    osc_port: int = 7770
    osc_bind: str = "127.0.0.1"
    allow: tuple[str, ...] = ()
    glide_s: float = 0.1


@dataclass(frozen=True)
class Stylizer:
    """The network that stylises, and what holds in shots whose score says nothing else. file: None where none is named. size:
    of its pictures, (width, height) px, None = the network's own, else the film's. style: None = its first style. mask_side:
    '' = the figure where the shot names a mask, else all."""

    file: Path | None = None
    size: tuple[int, int] | None = None
    over: str = "film"
    style: Styling | None = None
    mask_side: str = ""
    smooth: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A live picture. device: by the system's name or number, or a film file that is played as a camera. format: FFmpeg's
    name of the system's cameras, '' = this system's own, and for a file its own. size, rate_hz: asked of the camera, (0, 0)
    and 0 = whatever it gives."""

    device: str
    format: str = ""
    size: tuple[int, int] = (0, 0)
    rate_hz: float = 0.0


@dataclass(frozen=True)
class Styled:
    """How one shot is stylised, score and show taken together. mask: of the figure, None = none."""

    over: str
    style: Styling | None
    mask: Path | None
    mask_side: str
    smooth: float


@dataclass(frozen=True)
class Show:
    """All that is to be played. Nobody writes it after load.

    source: what shots play that the score does not name. generator: folder of mapping.onnx and synthesis.onnx.
    fallback: a pre-rendered film shown where a model fails. mask: folder of the figure's masks, numbered like the film;
    masks: other folders by shot. styles: of the stylizer, () where they are not known. looks: by name; '' is the plain look.
    start_frame: where the show begins. seed: of grain, weave, flicker and wander. about: where it comes from, in words.
    """

    name: str
    path: Path
    film: Film
    cuts: CutList
    source: str = "film"
    score: Score | None = None
    generator: Path | None = None
    fallback: Path | None = None
    clips: Mapping[int, Path] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)
    look: str = ""
    cues: tuple[Cue, ...] = ()
    outputs: tuple[Output, ...] = (Output(),)
    sound: SoundOut = SoundOut()
    control: Control = Control()
    loop: bool = True
    loop_pause_s: float = 0.0
    start_frame: int = 0
    seed: int = 1967
    about: Mapping[str, str] = field(default_factory=dict)
    captions: CaptionStyle | None = None
    stylizer: Stylizer | None = None
    camera: Camera | None = None
    mask: Path | None = None
    masks: Mapping[int, Path] = field(default_factory=dict)
    styles: tuple[str, ...] = ()

    @property
    def output(self) -> Output:
        """The main output."""
        return self.outputs[0]

    def score_shot(self, number: int) -> ScoreShot:
        """How shot `number` is played: the score's row, else the show's own source."""
        found = self.score.by_number(number) if self.score else None
        return found or ScoreShot(number, source=self.source)

    def under_of(self, number: int) -> str:
        """What is seen through the source of shot `number` where that does not count in full: the score's `under`; of a
        stylised shot without one, what it is played over; '' for none."""
        row = self.score_shot(number)
        if row.under not in ("", row.source):
            return row.under
        return self.styled(number).over if row.source == "stylizer" else ""

    def mix_at(self, number: int, frame: int, offset: float = 0.0) -> float:
        """Weight of a shot's source over under_of() at a film frame, 0..1 in linear light. offset: what a hand adds."""
        row = self.score_shot(number)
        if row.under in ("", row.source) and self.under_of(number):
            return min(max(1.0 + offset, 0.0), 1.0)
        return row.mix_at(frame, offset)

    def inputs_of(self, number: int) -> tuple[str, ...]:
        """All that must be there for shot `number`: its sources, and what a stylizer is played over."""
        return self.score_shot(number).inputs(self.stylizer.over if self.stylizer else "film")

    def styled(self, number: int) -> Styled:
        """How shot `number` is stylised, where its source is the stylizer."""
        row, own = self.score_shot(number), self.stylizer or Stylizer()
        mask = self.masks.get(number, self.mask)
        side = row.mask_side or own.mask_side or ("figure" if number in self.masks else "all")
        return Styled(row.over or own.over, row.style or own.style, mask, side if mask is not None else "all",
                      own.smooth if row.smooth is None else row.smooth)

    def shares_of(self, number: int, frame: int) -> dict[str, float]:
        """Shares of the styles that the show gives shot `number` at a film frame; empty where they are not known."""
        style = self.styled(number).style
        return style.at(frame) if style is not None else dict.fromkeys(self.styles[:1], 1.0)

    @functools.cached_property
    def steps(self) -> bool:
        """Whether any look holds frames by itself (step_print)."""
        return any(look.values.get("step_print", 0) >= 2 for look in self.looks.values())

    def look_of(self, number: int) -> str:
        """Name of the look that shot `number` plays."""
        return self.score_shot(number).look or self.look

"""The keyboard: what each key asks for, and the help text, from one table."""

from __future__ import annotations

from collections.abc import Iterable

from player.show.show import Show
from player.state import Command, ShowState

KEYS: tuple[tuple[str, str], ...] = (
    ("space", "play or pause"),
    ("left", "the shot before"),
    ("right", "the next shot"),
    ("up", "louder"),
    ("down", "softer"),
    ("f", "full screen or window"),
    ("b", "black"),
    ("h", "show or hide the lines for technicians"),
    ("m", "mute"),
    ("esc", "leave full screen; in a window, quit"),
)
VOLUME_STEP = 0.05
_TOGGLES = {"b": "/cineml/output/blackout", "h": "/cineml/window/overlay", "m": "/cineml/sound/mute",
            "f": "/cineml/window/fullscreen"}


def help_text() -> str:
    """One line a key."""
    return "\n".join(f"{key:<6} {what}" for key, what in KEYS)


def commands_for(keys: Iterable[str], state: ShowState, show: Show) -> list[Command]:
    """What the keys pressed since the last refresh ask for, in order. 'close' (the window's own button) quits."""
    playing, volume, shot = state.transport.playing, state.volume, show.cuts.shot_at(state.place.frame).number
    on = {"b": state.blackout, "h": state.overlay, "m": state.mute, "f": state.fullscreen}
    made: list[Command] = []

    def ask(address: str, value: float | int | bool | None = None) -> None:
        made.append(Command(address, value, None, "keyboard"))

    for key in keys:  # two presses within one refresh build on one another
        if key == "space":
            playing = not playing or state.place.ended
            ask("/cineml/transport/play" if playing else "/cineml/transport/pause")
        elif key in ("left", "right"):
            shot += 1 if key == "right" else -1
            count = len(show.cuts.shots)
            shot = (shot - 1) % count + 1 if state.transport.loop else min(max(shot, 1), count)
            if playing or state.stopped:
                ask(f"/cineml/shot/{shot}/go")
            else:
                # While paused, a technician steps through the shots and the film stays paused.
                ask("/cineml/transport/seek_frame", show.cuts.shots[shot - 1].start)
        elif key in ("up", "down"):
            volume = round(min(max(volume + (VOLUME_STEP if key == "up" else -VOLUME_STEP), 0.0), 1.0), 2)
            ask("/cineml/sound/volume", volume)
        elif key in _TOGGLES:
            on[key] = not on[key]
            ask(_TOGGLES[key], on[key])
        elif key == "esc" and on["f"]:
            on["f"] = False
            ask(_TOGGLES["f"], False)
        elif key in ("esc", "close"):
            ask("/cineml/window/quit")
    return made

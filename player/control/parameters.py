"""What may be asked from outside and what is told there, both from the one Parameter table; and the page about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from player.show.film import format_timecode
from player.show.parameter import LATENT, LOOK, OUTPUT, SOUND, SOURCE, STYLE, TRANSPORT, Parameter, Value
from player.show.request import MAX_GLIDE_S, REACHABLE, Refusal, check_request
from player.show.show import Show
from player.state import Command, ShowState


@dataclass(frozen=True)
class Rejection:
    """Why a message did not become a Command; a sentence without its subject, which is the address."""

    address: str
    reason: str


def parse_noted(address: str, args: Sequence[Any], show: Show, fired_by: str) -> tuple[Command | Rejection, str]:
    """parse, and what was clipped on the way ('' where nothing was)."""
    asked = check_request(address, args, show)
    if isinstance(asked, Refusal):
        return Rejection(asked.address, asked.reason), ""
    return Command(asked.address, asked.value, asked.glide_s, fired_by), asked.note


def parse(address: str, args: Sequence[Any], show: Show, fired_by: str) -> Command | Rejection:
    """A message as a Command, or why it is none.

    args: Python values (float, int, bool, str). Numbers outside their range are clipped; names must be the show's.
    """
    return parse_noted(address, args, show, fired_by)[0]


def told_position(state: ShowState, show: Show) -> tuple[tuple[str, Value], ...]:
    """Where the film is, in four ways, for people and for machines."""
    place = state.place
    return (("/cineml/position/s", float(place.position / show.film.rate)),
            ("/cineml/position/frame", place.frame),
            ("/cineml/position/timecode", format_timecode(place.frame, show.film.rate)),
            ("/cineml/position/shot", show.cuts.shot_at(place.frame).number))


def told_values(state: ShowState) -> tuple[tuple[str, Value], ...]:
    """Every parameter that has a value, as it is at this refresh, under the address that sets it."""
    held: dict[str, Value] = {
        "/cineml/transport/playing": state.transport.playing and not state.place.ended,
        "/cineml/transport/rate": float(state.transport.rate),
        "/cineml/transport/loop": state.transport.loop,
        "/cineml/output/blackout": state.blackout,
        "/cineml/output/freeze": state.freeze,
        "/cineml/output/captions": state.captions,
        "/cineml/output/fade": state.fade,
        "/cineml/source/mix_offset": state.mix_offset,
        "/cineml/source/mix": state.source_mix,
        "/cineml/look/select": str(state.values.get("/cineml/look/select") or ""),
        "/cineml/look/playing": state.look_name}
    for p in LOOK:
        if p.name != "select":
            value = state.look[p.name]
            held[p.address] = bool(value) if p.kind == "bool" else round(value) if p.kind == "int" else float(value)
    offsets, shares = dict(state.hand.offsets), dict(state.style_shares)
    for name, weight in state.style_weights:
        held[f"/cineml/style/{name}/weight"] = float(weight)
        held[f"/cineml/style/{name}/offset"] = float(offsets.get(name, 0.0))
        held[f"/cineml/style/{name}/share"] = float(shares.get(name, 0.0))
    for name in ("smooth_offset", "mask_amount"):
        held[f"/cineml/style/{name}"] = float(getattr(state.hand, name))
    for p in LATENT:
        held[p.address] = getattr(state.latent, p.name)
    for p in SOUND:
        held[p.address] = getattr(state, p.name)
    return tuple(held.items())


ASKS = (
    ("/cineml/ping", "Answered by `/cineml/pong` with the show's name."),
    ("/cineml/sync", "Answered by the whole state: every value below and the position, one message each."),
    ("/cineml/subscribe", "The whole state, and from then on for 60 s (say it again in time): the heartbeat once a "
                          "second, the position and every value that changes ten times a second. At most 32 listen."),
    ("/cineml/unsubscribe", "No longer."),
)
TELLS = (
    ("/cineml/pong", "s", "The show's name."),
    ("/cineml/heartbeat", "ii", "Once a second to subscribers: a number that counts on, and the refreshes shown."),
    ("/cineml/position/s", "f", "Film time in seconds."),
    ("/cineml/position/frame", "i", "Film frame, from 0."),
    ("/cineml/position/timecode", "s", "Film time as hh:mm:ss:ff, without drop frame."),
    ("/cineml/position/shot", "i", "Number of the shot, from 1."),
    ("/cineml/transport/playing", "T/F", "Whether the film runs."),
    ("/cineml/source/mix", "f", "The weight of the shot's source over what lies under it, 0 to 1; 1 where it has one source."),
    ("/cineml/style/NAME/share", "f", "How much of this style is played in a stylised shot, 0 to 1: its weight and offset, out "
                                      "of all."),
    ("/cineml/look/playing", "s", "The look that is seen: the selected one, or the score's own."),
    ("/cineml/reply/ADDRESS", "ss", "To whoever sent ADDRESS: a status (`rejected`, `clipped`, `noted`) and the "
                                    "reason. For a packet that is no OSC, ADDRESS is `packet`."),
)
_HEAD = """\
# OSC

This page is written from the player's parameter table (`player.control.parameters.reference_page`); a test compares
them.

The player listens for OSC 1.0 over UDP on port 7770 of 127.0.0.1. The show's or the venue's `[control]` table changes
the port (`osc_port`, 0 turns OSC off), lets other machines in (`osc_bind = "0.0.0.0"`) and limits them (`allow`).
Addresses are fixed and always on; patterns (`*`, `?`) are not matched. Argument types are i, f, s, T and F. A whole
number does where a float is asked for; where T or F is asked for, 0 and 1 do as well. Numbers outside their range are
clipped to it; the sender is told. Names (looks, styles, key latents, shots) are those of the loaded show, never file paths;
`cineml check SHOW --keys` lists the key latents.

A bundle is applied in one refresh. Its time tag may lie up to 1 s ahead; one that lies farther ahead counts as now and
the sender is told; a past one counts as now. A packet holds at most 512 messages.
"""


def _range(p: Parameter) -> str:
    if p.kind == "bool":
        return "T/F"
    if p.kind == "text":
        return "a name of the show, or empty"
    if p.name.startswith("seek_"):  # its upper end is the film's (show.request)
        return f"0 to the film's {'last frame' if p.kind == 'int' else 'end, in s'}"
    if p.low is None or p.high is None:
        return ""
    return f"{p.low:.15g} to {p.high:.15g}" + (f" {p.unit}" if p.unit else "")


def _row(p: Parameter) -> str:
    types = {"trigger": "none", "float": "f", "int": "i", "bool": "T/F", "text": "s"}[p.kind]
    default = ""
    if isinstance(p.default, bool):
        default = "T" if p.default else "F"
    elif p.default is not None and not p.name.startswith("seek"):
        default = f"{p.default:g}" if isinstance(p.default, (int, float)) else "empty"
    address = p.address.replace("*", "NAME" if p in STYLE else "NUMBER")
    return f"| `{address}` | {types} | {_range(p)} | {default} | {'yes' if p.glides else ''} | {p.description} |"


def reference_page() -> str:
    """docs/OSC.md, in Markdown, from the tables."""
    lines = [_HEAD]
    for title, table in (("Transport and shots", TRANSPORT), ("Output", OUTPUT), ("Source", SOURCE), ("Look", LOOK),
                         ("Style", STYLE), ("Latent", LATENT), ("Sound", SOUND)):
        lines += [f"## {title}", "", "| address | type | range | default | glides | what it does |"]
        lines.append("|---|---|---|---|---|---|")
        lines += [_row(p) for p in table if p in REACHABLE]
        lines.append("")
    lines += [f"Where a value glides, a second number is the time in seconds that it takes (0 to {MAX_GLIDE_S:g}); "
              "without it,", "the show's `control.glide_s`.", "", "## Asking", "",
              "Each takes an optional port (i): answers go to the sender's address at that port instead of the port it",
              "sent from.", "", "| address | what comes back |", "|---|---|"]
    lines += [f"| `{address}` | {what} |" for address, what in ASKS]
    lines += ["", "## What the player sends", "", "Values are sent under the address that sets them. Besides:", "",
              "| address | type | what it says |", "|---|---|---|"]
    lines += [f"| `{address}` | {types} | {what} |" for address, types, what in TELLS]
    return "\n".join(lines) + "\n"

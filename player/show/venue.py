"""The venue: screens by role, sound device and ports of one room, apart from the show that is played there."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError, nearest
from player.show.show import FITS, Control, Output, Show, SoundOut
from player.show.style_tables import camera_keys
from player.show.toml_table import TomlTable, read_toml

ROLES = ("main",)

# What a list of senders that is written and empty stands for: no packet comes from this address (RFC 1122, 3.2.1.3).
NOBODY = ("0.0.0.0/32",)


@dataclass(frozen=True)
class Venue:
    """What a room says; only the keys its file holds, so that the show keeps the rest.

    screens: fields of Output by role. sound: fields of SoundOut. control: fields of Control. camera: fields of Camera.
    """

    path: Path
    screens: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sound: Mapping[str, Any] = field(default_factory=dict)
    control: Mapping[str, Any] = field(default_factory=dict)
    camera: Mapping[str, Any] = field(default_factory=dict)


def _given(table: TomlTable, values: dict[str, Any]) -> dict[str, Any]:
    table.done()
    return {key: value for key, value in values.items() if table.has(key)}


def output_keys(table: TomlTable, with_fit: bool) -> dict[str, Any]:
    """The fields of Output that a table sets. with_fit: shows say how the film fits, venues do not."""
    plain = Output()
    values: dict[str, Any] = {
        "size": table.size("size", plain.size),
        "refresh_hz": table.number("refresh_hz", plain.refresh_hz, 1.0, 1000.0, "Hz"),
        "monitor": table.text("monitor"),
        "fullscreen": table.flag("fullscreen", plain.fullscreen)}
    if with_fit:
        values["fit"] = table.text("fit", plain.fit, FITS)
    return _given(table, values)


def sound_keys(table: TomlTable) -> dict[str, Any]:
    """The fields of SoundOut that a table sets."""
    plain = SoundOut()
    return _given(table, {
        "device": table.text("device"),
        "channels": table.wholes("channels", 1, 256),
        "volume": table.number("volume", plain.volume, 0.0, 1.0),
        "delay_ms": table.number("delay_ms", plain.delay_ms, -1000.0, 1000.0, "ms"),
        "buffer_ms": table.number("buffer_ms", plain.buffer_ms, 1.0, 1000.0, "ms")})


def control_keys(table: TomlTable, with_glide: bool) -> dict[str, Any]:
    """The fields of Control that a table sets. with_glide: shows say how long changes glide, venues do not."""
    plain = Control()
    values: dict[str, Any] = {
        "osc_port": table.whole("osc_port", plain.osc_port, 0, 65535),
        "osc_bind": table.text("osc_bind", plain.osc_bind),
        "allow": table.texts("allow")}
    try:
        ipaddress.ip_address(values["osc_bind"])
    except ValueError:
        allowed = "an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        table.bad("osc_bind", f"is {values['osc_bind']!r}", allowed)
    for sender in values["allow"]:
        try:
            ipaddress.ip_network(sender, strict=False)
        except ValueError:
            table.bad("allow", f"holds {sender!r}", "addresses such as 10.0.0.5, or networks such as 10.0.0.0/24")
    if not values["allow"]:  # whoever writes down that nobody is allowed does not mean everybody; see _given
        values["allow"] = NOBODY
    if with_glide:
        values["glide_s"] = table.number("glide_s", plain.glide_s, 0.0, 60.0, "s")
    return _given(table, values)


def outputs_of(top: TomlTable, key: str, with_fit: bool) -> dict[str, dict[str, Any]]:
    """The fields of Output by role, from the tables [key.ROLE]."""
    found: dict[str, dict[str, Any]] = {}
    for role, table in top.named_tables(key).items():
        if role not in ROLES:
            top.bad(f"{key}.{role}", "is not a known role", ", ".join(ROLES), nearest(role, ROLES))
        else:
            found[role] = output_keys(table, with_fit)
    return found


def load_venue(path: Path) -> Venue:
    """The venue of a TOML file. Raises ShowError with every problem."""
    found: list[Problem] = []
    top = TomlTable(read_toml(path, "a venue"), path, "", found)
    venue = Venue(path, outputs_of(top, "screen", with_fit=False), sound_keys(top.table("sound")),
                  control_keys(top.table("control"), with_glide=False), camera_keys(top.table("camera")))
    top.done()
    if found:
        raise ShowError(found)
    return venue


def with_venue(show: Show, venue: Venue) -> Show:
    """The show as it is played in that room: what the venue says goes over what the show says."""
    outputs = tuple(replace(o, **venue.screens.get(o.role, {})) for o in show.outputs)
    sound, control = replace(show.sound, **venue.sound), replace(show.control, **venue.control)
    # A room's camera is of no use to a show that plays none.
    camera = replace(show.camera, **venue.camera) if show.camera is not None else None
    return replace(show, outputs=outputs, sound=sound, control=control, camera=camera)

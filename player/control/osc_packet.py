"""An OSC packet, walked and checked byte by byte before python-osc's parser may see it.

Why: with python-osc 1.10.2 a bundle element of negative size is an endless loop, a float without its payload is 0.0,
and an unknown type tag calls the handler without arguments. OSC 1.0: opensoundcontrol.stanford.edu/spec-1_0.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pythonosc.osc_message import OscMessage

BUNDLE_HEAD = b"#bundle\0"
MAX_DEPTH = 8
MAX_MESSAGES = 512
MAX_ARGS = 16
MAX_TEXT_BYTES = 1024
NTP_TO_UNIX_S = 2_208_988_800  # seconds from 1900 to 1970, RFC 5905
_IMMEDIATELY = 1


class BadPacket(ValueError):
    """Raised with what is wrong. address: of the message at fault, '' where it is not even known."""

    def __init__(self, reason: str, address: str = ""):
        super().__init__(reason)
        self.address = address


@dataclass(frozen=True)
class Message:
    """An address and its arguments: float, int, str or bool."""

    address: str
    args: tuple[float | int | str | bool, ...]


@dataclass(frozen=True)
class Group:
    """Messages that belong into one refresh. at_unix_s: when (seconds since 1970), None = now."""

    at_unix_s: float | None
    messages: tuple[Message, ...]


def read_packet(data: bytes) -> tuple[Group, ...]:
    """The messages of a packet, by the time they are for. Raises BadPacket for anything that is not sound OSC.

    A nested bundle of the same or an earlier time belongs to the bundle around it, so that it is applied with it.
    """
    groups: dict[float | None, list[Message]] = {}
    _walk(data, 0, len(data), None, 0, groups, [0])
    return tuple(Group(at, tuple(messages)) for at, messages in groups.items() if messages)


def _walk(data: bytes, start: int, end: int, at: float | None, depth: int,
          groups: dict[float | None, list[Message]], count: list[int]) -> None:
    if (end - start) % 4 or end == start:
        raise BadPacket(f"holds {end - start} bytes, not a multiple of 4")
    if not data.startswith(BUNDLE_HEAD, start, end):
        count[0] += 1
        if count[0] > MAX_MESSAGES:
            raise BadPacket(f"holds more than {MAX_MESSAGES} messages")
        groups.setdefault(at, []).append(_read_message(data[start:end]))
        return
    if depth >= MAX_DEPTH:
        raise BadPacket(f"nests bundles more than {MAX_DEPTH} deep")
    if end - start < 16:
        raise BadPacket("is a bundle without a time tag")
    tag = int.from_bytes(data[start + 8:start + 16], "big")
    own = None if tag == _IMMEDIATELY else (tag >> 32) - NTP_TO_UNIX_S + (tag & 0xFFFFFFFF) / 2**32
    if depth == 0 or (own is not None and (at is None or own > at)):
        at = own
    place = start + 16
    while place < end:
        if end - place < 4:
            raise BadPacket("ends within the size of a bundle element")
        size = int.from_bytes(data[place:place + 4], "big", signed=True)
        place += 4
        if size <= 0 or size > end - place:
            raise BadPacket(f"has a bundle element of {size} bytes where {end - place} are left")
        _walk(data, place, place + size, at, depth + 1, groups, count)
        place += size


def _text(data: bytes, start: int, what: str, address: str = "") -> tuple[str, int]:
    """The padded string at `start` and where the next item begins."""
    end = data.find(b"\0", start)
    if end < 0:
        raise BadPacket(f"has {what} without an end", address)
    if end - start > MAX_TEXT_BYTES:
        raise BadPacket(f"has {what} of more than {MAX_TEXT_BYTES} bytes", address)
    following = end + 4 - end % 4  # a string ends with one to four zero bytes, on a multiple of 4
    if following > len(data) or any(data[end:following]):
        raise BadPacket(f"has {what} that is not padded with zero bytes", address)
    try:
        return data[start:end].decode("utf-8"), following
    except UnicodeDecodeError:
        raise BadPacket(f"has {what} that is not UTF-8", address) from None


def _read_message(data: bytes) -> Message:
    address, place = _text(data, 0, "an address")
    if not address.startswith("/") or not address.isascii() or not address.isprintable() or " " in address:
        raise BadPacket("has an address that is no OSC address")
    if place == len(data):
        return Message(address, ())  # senders from before OSC 1.0 leave the type tags out where nothing follows
    tags, place = _text(data, place, "type tags", address)
    if not tags.startswith(","):
        raise BadPacket("has no type tags", address)
    if len(tags) - 1 > MAX_ARGS:
        raise BadPacket(f"has more than {MAX_ARGS} arguments", address)
    for tag in tags[1:]:
        if tag in "if":
            place += 4
            if place > len(data):
                raise BadPacket("ends within a number", address)
        elif tag == "s":
            _, place = _text(data, place, "a text", address)
        elif tag not in "TF":
            raise BadPacket(f"has an argument of type {tag!r}, not i, f, s, T or F", address)
    if place != len(data):
        raise BadPacket(f"holds {len(data) - place} bytes more than its arguments", address)
    return Message(address, tuple(OscMessage(data).params))


def format_message(address: str, *args: float | int | str | bool | None) -> bytes:
    """The bytes of a message; whole numbers are clipped to the 32 bits of OSC's i."""
    tags, payload = ",", b""
    for arg in args:
        if isinstance(arg, bool):
            tags += "T" if arg else "F"
        elif isinstance(arg, int):
            tags += "i"
            payload += struct.pack(">i", min(max(arg, -2**31), 2**31 - 1))
        elif isinstance(arg, float):
            tags += "f"
            payload += struct.pack(">f", arg)
        else:
            tags += "s"
            payload += _padded(str(arg or ""))
    return _padded(address) + _padded(tags) + payload


def _padded(text: str) -> bytes:
    raw = text.encode("utf-8").replace(b"\0", b"")
    return raw + b"\0" * (4 - len(raw) % 4)

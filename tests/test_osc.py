"""OSC: real packets over UDP, and packets that no sender should send."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from player.control.listeners import EXPIRY_S, MAX_LISTENERS, MAX_REPLIES_A_S, Budget, Listeners
from player.control.osc import MAX_WAITING_MESSAGES, OscServer
from player.control.osc_packet import MAX_MESSAGES, NTP_TO_UNIX_S, BadPacket, format_message, read_packet
from player.show.config import load_venue, with_venue
from player.show.problem import ShowError
from player.show.show import Control, Look, Show
from player.state import Command, first_state
from tests.small_shows import small_show

ENDLESS = b"#bundle\0" + bytes(8) + struct.pack(">i", -4)  # python-osc 1.10.2 never returns from this one
PATIENCE_S = 20.0  # for a busy machine; nothing here asserts how long a thing took


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def wait_until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s, "it never came about"
        time.sleep(0.005)


def seen(bench: Bench, messages: int) -> bool:
    return bench.server.counts["messages"] >= messages


class Bench:
    """A server on a free port, a socket that talks to it, and what it posted."""

    def __init__(self, show: Show):
        self.port = free_port()
        self.show = replace(show, control=replace(show.control, osc_port=self.port))
        self.posted: list[Command] = []
        self.together: list[tuple[Command, ...]] = []
        self.server = OscServer(self.show, self.posted.append, self._bundle)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE_S)

    def _bundle(self, commands: tuple[Command, ...]) -> None:
        self.together.append(commands)
        self.posted.extend(commands)

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.socket.sendto(packet, ("127.0.0.1", self.port))

    def ask(self, address: str, *args: float | int | str | bool) -> None:
        self.send(format_message(address, *args))

    def told(self) -> tuple[str, list[object]]:
        message = OscMessage(self.socket.recv(65536))
        return message.address, list(message.params)

    def settled(self) -> None:
        """Returns once everything sent so far was handled: a ping's answer comes after."""
        self.ask("/cineml/ping")
        while self.told()[0] != "/cineml/pong":
            pass


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(small_show(looks={"night": Look("night")}))
    made.server.start()
    yield made
    made.server.close()
    made.socket.close()


def bundle(*packets: bytes, at_unix_s: float | None = None) -> bytes:
    tag = 1 if at_unix_s is None else int((at_unix_s + NTP_TO_UNIX_S) * 2**32)
    return b"#bundle\0" + tag.to_bytes(8, "big") + b"".join(struct.pack(">i", len(p)) + p for p in packets)


def test_messages_of_another_process_become_commands_in_their_order(bench: Bench) -> None:
    code = ("import sys; from pythonosc.udp_client import SimpleUDPClient as C; c = C('127.0.0.1', int(sys.argv[1]));"
            "c.send_message('/cineml/transport/pause', []); c.send_message('/cineml/look/grain', [0.5, 2.0]);"
            "c.send_message('/cineml/output/blackout', True); c.send_message('/cineml/shot/2/go', [])")
    subprocess.run([sys.executable, "-c", code, str(bench.port)], check=True)
    wait_until(lambda: len(bench.posted) == 4)
    assert [(c.address, c.value, c.glide_s) for c in bench.posted] == [
        ("/cineml/transport/pause", None, None), ("/cineml/look/grain", 0.5, 2.0), ("/cineml/output/blackout", True, None),
        ("/cineml/shot/2/go", None, None)]
    assert bench.posted[0].fired_by.startswith("osc 127.0.0.1:")


def test_a_mistake_is_answered_to_its_sender_with_status_and_reason(bench: Bench) -> None:
    bench.ask("/cineml/output/blackot", True)
    address, (status, reason) = bench.told()
    assert (address, status) == ("/cineml/reply/cineml/output/blackot", "rejected")
    assert "/cineml/output/blackout" in str(reason)
    bench.ask("/cineml/sound/volume", 7.0)
    assert bench.told() == ("/cineml/reply/cineml/sound/volume", ["clipped", "7 clipped to 1"])
    wait_until(lambda: len(bench.posted) == 1)
    assert bench.posted[0].value == 1.0


def test_what_is_no_osc_is_answered_and_reaches_nobody(bench: Bench) -> None:
    bench.send(b"hello")
    assert bench.told() == ("/cineml/reply/packet", ["rejected", "holds 5 bytes, not a multiple of 4"])
    bench.settled()
    assert bench.posted == [] and bench.server.facts()["bad"] == 1


def test_the_bundle_that_hangs_the_parser_does_not_hang_the_player(bench: Bench) -> None:
    bench.send(ENDLESS)
    bench.settled()
    assert bench.server.facts()["bad"] == 1


def test_a_bundle_is_handed_over_as_one(bench: Bench) -> None:
    builder = OscBundleBuilder(IMMEDIATELY)
    for address in ("/cineml/output/freeze", "/cineml/sound/mute"):
        message = OscMessageBuilder(address)
        message.add_arg(True)
        builder.add_content(message.build())
    bench.send(builder.build().dgram)
    wait_until(lambda: len(bench.together) == 1)
    assert [c.address for c in bench.together[0]] == ["/cineml/output/freeze", "/cineml/sound/mute"]


def test_a_bundle_half_a_second_ahead_comes(bench: Bench) -> None:
    bench.send(bundle(format_message("/cineml/transport/pause"), at_unix_s=time.time() + 0.5))
    wait_until(lambda: len(bench.posted) == 1)


class StoppedClock:
    """Stands for the time module of the server: it moves only when a test says so."""

    def __init__(self) -> None:
        self.unix_s, self.monotonic_s = 1_800_000_000.0, 500.0

    def time(self) -> float:
        return self.unix_s

    def perf_counter(self) -> float:
        return self.monotonic_s

    def go(self, seconds: float) -> None:
        self.unix_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bench, StoppedClock]]:
    """A server without its thread, whose clock stands."""
    clock = StoppedClock()
    monkeypatch.setattr("player.control.osc.time", clock)
    made = Bench(small_show())
    yield made, clock
    made.server.close()
    made.socket.close()


def take(bench: Bench, packet: bytes) -> None:
    bench.server._take(packet, ("127.0.0.1", bench.socket.getsockname()[1]))


def test_a_bundle_ahead_waits_for_its_time_while_others_pass(stopped: tuple[Bench, StoppedClock]) -> None:
    bench, clock = stopped
    take(bench, bundle(format_message("/cineml/transport/pause"), at_unix_s=clock.unix_s + 0.5))
    take(bench, format_message("/cineml/transport/play"))
    clock.go(0.499)
    bench.server._deliver_due()
    assert [c.address for c in bench.posted] == ["/cineml/transport/play"]
    clock.go(0.002)
    bench.server._deliver_due()
    assert [c.address for c in bench.posted] == ["/cineml/transport/play", "/cineml/transport/pause"]


def test_bundles_ahead_come_in_the_order_of_their_times(stopped: tuple[Bench, StoppedClock]) -> None:
    bench, clock = stopped
    for value, ahead_s in ((3, 0.5), (1, 0.3), (2, 0.3)):
        take(bench, bundle(format_message("/cineml/latent/noise_seed", value), at_unix_s=clock.unix_s + ahead_s))
    clock.go(0.9)
    bench.server._deliver_due()
    assert [c.value for c in bench.posted] == [1, 2, 3]


def test_a_wall_clock_that_is_set_moves_nothing_that_waits(stopped: tuple[Bench, StoppedClock]) -> None:
    bench, clock = stopped
    take(bench, bundle(format_message("/cineml/transport/pause"), at_unix_s=clock.unix_s + 0.5))
    clock.unix_s -= 3600
    clock.monotonic_s += 0.5
    bench.server._deliver_due()
    assert len(bench.posted) == 1


def test_bundles_far_ahead_count_as_now_and_are_reported(bench: Bench) -> None:
    bench.send(*[bundle(format_message("/cineml/transport/pause"), at_unix_s=time.time() + 4.0)] * 100)
    address, (status, reason) = bench.told()
    assert (address, status) == ("/cineml/reply/cineml/transport/pause", "noted")
    assert "more than 1 s" in str(reason)
    wait_until(lambda: len(bench.posted) == 100)


def test_a_past_bundle_counts_as_now(bench: Bench) -> None:
    bench.send(bundle(format_message("/cineml/transport/pause"), at_unix_s=time.time() - 1000))
    wait_until(lambda: len(bench.posted) == 1)


def test_what_waits_is_bounded(stopped: tuple[Bench, StoppedClock]) -> None:
    bench, clock = stopped
    packet = bundle(*[format_message("/cineml/transport/pause")] * 64, at_unix_s=clock.unix_s + 0.9)
    for _ in range(MAX_WAITING_MESSAGES // 64):
        take(bench, packet)
    assert bench.posted == []
    take(bench, packet)
    assert len(bench.posted) == 64 and bench.server.facts()["too many ahead"] == 1
    assert bench.told()[1] == ["noted", "applied now: too many messages wait"]
    clock.go(1.0)
    bench.server._deliver_due()
    assert len(bench.posted) == MAX_WAITING_MESSAGES + 64
    take(bench, bundle(format_message("/cineml/transport/play"), at_unix_s=clock.unix_s + 0.9))
    assert len(bench.posted) == MAX_WAITING_MESSAGES + 64, "there is room again"


def test_no_message_of_a_burst_of_20000_is_lost(bench: Bench) -> None:
    packet = format_message("/cineml/look/vignette", 0.25)
    assert bench.server._socket is not None
    room = bench.server._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    # A kernel that gives the buffer takes the burst unbroken; one that does not (net.core.rmem_max) drops packets before
    # the player can see them, so there it comes in pieces that its buffer holds (768 bytes of it for a small packet).
    window = 20_000 if room >= 16 << 20 else 100
    for first in range(0, 20_000, window):
        bench.send(*[packet] * window)
        wait_until(partial(seen, bench, first + window))
    wait_until(lambda: len(bench.posted) == 20_000)


def test_sync_tells_the_whole_state(bench: Bench) -> None:
    bench.ask("/cineml/sync")
    assert bench.told()[1] == ["noted", "the show has not begun"]
    bench.server.publish(first_state(replace(bench.show, start_frame=30)))
    bench.ask("/cineml/sync")
    bench.ask("/cineml/ping")
    told: dict[str, object] = {}
    while (message := bench.told())[0] != "/cineml/pong":
        told[message[0]] = message[1][0]
    assert message[1] == ["small"]
    assert told["/cineml/position/frame"] == 30 and told["/cineml/position/s"] == 1.25
    assert told["/cineml/position/timecode"] == "00:00:01:06" and told["/cineml/position/shot"] == 2
    assert told["/cineml/transport/playing"] is True and told["/cineml/output/fade"] == 1.0
    assert told["/cineml/look/select"] == "" and told["/cineml/latent/noise_seed"] == 0


def test_subscribers_get_a_heartbeat_that_changes_and_what_changed(bench: Bench) -> None:
    bench.server.publish(first_state(bench.show))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(PATIENCE_S)
        bench.ask("/cineml/subscribe", other.getsockname()[1])
        beats: list[object] = []
        seen: set[str] = set()
        while len(beats) < 2 or not {"/cineml/position/timecode", "/cineml/latent/freedom"} <= seen:
            message = OscMessage(other.recv(65536))
            seen.add(message.address)
            if message.address == "/cineml/heartbeat":
                beats.append(message.params[0])
        assert beats[0] != beats[1]
        bench.server.publish(replace(first_state(bench.show), blackout=True))
        while (message := OscMessage(other.recv(65536))).address != "/cineml/output/blackout":
            pass
        assert message.params == [True]


def test_subscriptions_expire_and_are_bounded() -> None:
    sent: list[tuple[bytes, tuple[str, int]]] = []
    listeners = Listeners(lambda packet, who: sent.append((packet, who)))
    for port in range(MAX_LISTENERS):
        assert listeners.add(("10.0.0.1", port + 1), now_s=0.0)
    assert not listeners.add(("10.0.0.1", 9999), now_s=1.0)
    assert listeners.add(("10.0.0.1", 1), now_s=EXPIRY_S / 2), "one who listens already may renew"
    assert listeners.add(("10.0.0.1", 9999), now_s=EXPIRY_S + 1)
    assert len(listeners) == 2
    listeners.drop(("10.0.0.1", 9999))
    listeners.tell_due(None, small_show(), EXPIRY_S + 1)
    assert [who for _, who in sent] == [("10.0.0.1", 1)]


def test_a_flood_is_not_answered_by_a_flood() -> None:
    budget = Budget()
    assert sum(budget.spend(0.0) for _ in range(10_000)) == MAX_REPLIES_A_S
    assert sum(budget.spend(0.5) for _ in range(10_000)) == MAX_REPLIES_A_S / 2


@pytest.mark.parametrize(("allow", "heard"), [(("10.0.0.0/8",), False), (("127.0.0.0/8",), True), (("127.0.0.1",), True)])
def test_only_allowed_senders_are_heard(allow: tuple[str, ...], heard: bool) -> None:
    bench = Bench(small_show(control=Control(allow=allow)))
    bench.server.start()
    bench.ask("/cineml/transport/pause")
    wait_until(lambda: bench.server.counts["packets"] == 1 and (bool(bench.posted) or bench.server.counts["refused"] == 1))
    bench.server.close()
    bench.socket.close()
    assert bool(bench.posted) == heard


@pytest.mark.parametrize(("written", "heard"), [("allow = []\n", False), ("", True)])
def test_an_empty_list_of_senders_lets_nobody_in_and_none_at_all_everybody(
        tmp_path: Path, written: str, heard: bool) -> None:
    (tmp_path / "venue.toml").write_text("[control]\n" + written)
    bench = Bench(with_venue(small_show(), load_venue(tmp_path / "venue.toml")))
    bench.server.start()
    bench.send(format_message("/cineml/transport/pause"))
    wait_until(lambda: seen(bench, 1) if heard else bench.server.counts["refused"] == 1)
    assert bool(bench.posted) == heard
    bench.server.close()
    bench.socket.close()


def test_a_port_in_use_is_said_with_what_to_try() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ShowError) as e:
            OscServer(small_show(control=Control(osc_port=port)), lambda _: None)
    assert f"UDP port {port} of 127.0.0.1 is in use" in str(e.value) and "another osc_port" in str(e.value)


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(ShowError, match="is not of this machine"):
        OscServer(small_show(control=Control(osc_port=free_port(), osc_bind="192.0.2.1")), lambda _: None)


def test_port_0_turns_osc_off() -> None:
    server = OscServer(small_show(control=Control(osc_port=0)), lambda _: None)
    server.start()
    server.close()
    assert server.facts() == {}


@pytest.mark.logs_error("failed to handle a packet")
def test_a_fault_inside_is_logged_once_and_the_thread_goes_on() -> None:
    def fails(command: Command) -> None:
        raise RuntimeError("an inbox that is broken")
    bench = Bench(small_show())
    bench.server._post = fails
    bench.server.start()
    for _ in range(3):
        bench.ask("/cineml/transport/pause")
    bench.settled()
    bench.server.close()
    bench.socket.close()
    assert bench.server.facts()["failed to handle a packet"] == 3


BAD_PACKETS = {
    "empty": b"",
    "endless": ENDLESS,
    "element past the end": b"#bundle\0" + bytes(8) + struct.pack(">i", 400) + b"/a\0\0",
    "element of no size": b"#bundle\0" + bytes(8) + struct.pack(">i", 0),
    "bundle without a time": b"#bundle\0" + bytes(4),
    "size cut off": b"#bundle\0" + bytes(8) + b"\0\0",
    "float without payload": b"/a\0\0,f\0\0",
    "float cut off": b"/a\0\0,ff\0" + bytes(4),
    "more than its tags": b"/a\0\0,f\0\0" + bytes(8),
    "text without an end": b"/a\0\0,s\0\0abcd",
    "text not padded": b"/a\0\0,s\0\0a\0bc",
    "text not UTF-8": b"/a\0\0,s\0\0\xff\xfe\0\0",
    "blob": b"/a\0\0,b\0\0" + bytes(4),
    "unknown type": b"/a\0\0,X\0\0",
    "no comma": b"/a\0\0if\0\0" + bytes(8),
    "no slash": b"abc\0,f\0\0" + bytes(4),
    "address without an end": b"/abc",
    "address with a control character": b"/\x07a\0,\0\0\0",
    "too many arguments": format_message("/a", *[0.0] * 17),
    "long text": format_message("/a", "x" * 2000),
}


@pytest.mark.parametrize("packet", BAD_PACKETS.values(), ids=BAD_PACKETS.keys())
def test_packets_that_are_not_sound_are_refused(packet: bytes) -> None:
    with pytest.raises(BadPacket):
        read_packet(packet)


def test_nesting_and_numbers_of_messages_are_bounded() -> None:
    message = format_message("/a")
    deep = message
    for _ in range(9):
        deep = bundle(deep)
    with pytest.raises(BadPacket, match="deep"):
        read_packet(deep)
    with pytest.raises(BadPacket, match="messages"):
        read_packet(bundle(*[message] * (MAX_MESSAGES + 1)))
    assert len(read_packet(bundle(*[message] * MAX_MESSAGES))[0].messages) == MAX_MESSAGES


def test_a_nested_bundle_of_an_earlier_time_is_applied_with_the_one_around_it() -> None:
    inner = bundle(format_message("/b"), at_unix_s=50.0)
    later = bundle(format_message("/c"), at_unix_s=150.0)
    groups = read_packet(bundle(format_message("/a"), inner, later, at_unix_s=100.0))
    assert [(g.at_unix_s, [m.address for m in g.messages]) for g in groups] == [(100.0, ["/a", "/b"]), (150.0, ["/c"])]


def test_a_message_without_type_tags_has_no_arguments() -> None:
    assert read_packet(b"/cineml/ping\0\0\0\0")[0].messages[0].args == ()


TEXT = st.text(max_size=40).filter(lambda t: "\0" not in t)
ARGS = st.one_of(st.booleans(), st.integers(-2**31, 2**31 - 1), st.floats(width=32), TEXT)


@given(st.lists(ARGS, max_size=16))
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_what_is_read(args: list[float | int | str | bool]) -> None:
    packet = format_message("/cineml/test", *args)
    message = read_packet(packet)[0].messages[0]
    assert message.address == "/cineml/test"
    assert repr(list(message.args)) == repr(args)  # repr: nan is nan, and True is not 1


VALID = (format_message("/cineml/look/grain", 0.5, 1.0), format_message("/cineml/look/select", "night"),
         bundle(format_message("/cineml/transport/pause"), bundle(format_message("/cineml/output/fade", 0.5)), at_unix_s=5.0))


def handled(packet: bytes) -> None:
    """Whatever comes: messages or BadPacket, and nothing else, and it comes to an end."""
    try:
        groups = read_packet(packet)
    except BadPacket:
        return
    assert all(m.address.startswith("/") for g in groups for m in g.messages)


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_any_bytes_are_messages_or_refused(packet: bytes) -> None:
    handled(packet)
    handled(b"#bundle\0" + packet)
    handled(b"/a\0\0," + packet)


@given(st.sampled_from(VALID), st.data())
@settings(max_examples=600, deadline=None)
def test_a_damaged_packet_is_messages_or_refused(packet: bytes, data: st.DataObject) -> None:
    raw = bytearray(packet[:data.draw(st.integers(0, len(packet)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    handled(bytes(raw))


def test_a_flood_of_random_packets_leaves_the_server_answering(bench: Bench) -> None:
    import random
    rng = random.Random(1967)
    for i in range(2000):
        raw = bytearray(rng.choice(VALID))
        for _ in range(rng.randrange(4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        bench.send(bytes(raw[:rng.randrange(1, len(raw) + 1)]))
        if i % 100 == 99:
            bench.settled()
    bench.settled()
    assert not [name for name in bench.server.facts() if name.startswith("failed")]

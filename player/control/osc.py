"""OSC over UDP: one thread receives, checks and posts Commands, and answers. It never sleeps on a time tag."""

from __future__ import annotations

import contextlib
import errno
import heapq
import ipaddress
import itertools
import logging
import math
import select
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from player.control.listeners import Address, Budget, Listeners
from player.control.osc_packet import BadPacket, Group, Message, format_message, read_packet
from player.control.parameters import Rejection, parse_noted
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.state import Command, ShowState

log = logging.getLogger("cineml.osc")

RECEIVE_BUFFER_BYTES = 8 << 20  # 20 000 messages in one burst, measured with none lost
MAX_AHEAD_S = 1.0
MAX_WAITING_MESSAGES = 4096
MAX_PACKETS_A_TURN = 256  # between looks at the schedule and the listeners, so that a flood cannot starve them
IDLE_S = 0.25  # how soon the thread sees that it is to end


@dataclass(order=True)
class _Waiting:
    """Messages of a bundle that lies ahead. order: of arrival, so that equal times keep it."""

    at_s: float
    order: int
    messages: tuple[Message, ...] = field(compare=False)
    sender: Address = field(compare=False)


class OscServer:
    """Posts what is asked over OSC, and tells the state to whoever asks.

    post takes one Command; post_together, where given, takes all Commands of a bundle at once and must hand them over
    together (deque.extend of a tuple does), so that a bundle is applied in one refresh. Both are called in the
    receive thread and must not block. The port is bound at once, so that a port in use is known before the show
    begins: raises ShowError.
    """

    def __init__(self, show: Show, post: Callable[[Command], None],
                 post_together: Callable[[tuple[Command, ...]], None] | None = None):
        self.show = show
        self.counts: Counter[str] = Counter()
        self._post, self._post_together = post, post_together
        self._state: ShowState | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._allowed = tuple(ipaddress.ip_network(a, strict=False) for a in show.control.allow)
        self._waiting: list[_Waiting] = []
        self._waiting_messages = 0
        self._order = itertools.count()
        self._listeners = Listeners(self._send)
        # Two, so that a fader with a fault cannot use up the answers that a watchdog's ping waits for.
        self._complaints, self._answers = Budget(), Budget()
        self._socket = _bound(show.control.osc_bind, show.control.osc_port) if show.control.osc_port else None

    def start(self) -> None:
        """Starts to receive; what came since the port was bound is not lost. With osc_port 0 does nothing."""
        control = self.show.control
        if self._socket is None:
            return
        self._thread = threading.Thread(target=self._receive, name="osc", daemon=True)
        self._thread.start()
        if not ipaddress.ip_address(control.osc_bind).is_loopback and not control.allow:
            log.warning("OSC listens on %s: whoever reaches it may change the show; control.allow limits them",
                        control.osc_bind)

    def close(self) -> None:
        self._closing = True
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._thread = None

    def publish(self, state: ShowState) -> None:
        """The state that is told from now on. Called by the main thread once a refresh."""
        self._state = state

    def facts(self) -> dict[str, int]:
        """For stats: packets, messages, bad (no OSC), rejected, clipped, refused (sender not allowed), and the like."""
        return dict(self.counts)

    def _receive(self) -> None:
        assert self._socket is not None
        while not self._closing:
            now_s = time.perf_counter()
            first_s = self._waiting[0].at_s - now_s if self._waiting else math.inf
            timeout_s = max(0.0, min(IDLE_S, first_s, self._listeners.wake_s(now_s)))
            with self._counted("failed to receive"):
                if select.select([self._socket], [], [], timeout_s)[0]:
                    self._take_packets()
            with self._counted("failed to tell"):
                self._deliver_due()
                self._listeners.tell_due(self._state, self.show, time.perf_counter())

    @contextlib.contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        """A fault in here is logged once, then counted: nothing that comes in over the network may end the thread."""
        try:
            yield
        except Exception as e:
            self.counts[what] += 1
            if self.counts[what] == 1:
                log.exception("OSC %s: %s (counted from now on)", what, e)

    def _take_packets(self) -> None:
        assert self._socket is not None
        for _ in range(MAX_PACKETS_A_TURN):
            try:
                data, sender = self._socket.recvfrom(65536)
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # Windows reports here that an answer reached nobody
            with self._counted("failed to handle a packet"):
                self._take(data, (sender[0], sender[1]))

    def _take(self, data: bytes, sender: Address) -> None:
        self.counts["packets"] += 1
        if self._allowed and not self._is_allowed(sender[0]):
            self.counts["refused"] += 1
            if self.counts["refused"] == 1:
                log.warning("OSC from %s is not allowed by control.allow; not answered, counted from now on", sender[0])
            return
        try:
            groups = read_packet(data)
        except BadPacket as e:
            self.counts["bad"] += 1
            self._reply(sender, e.address or "/packet", "rejected", str(e))
            return
        for group in groups:
            self._schedule(group, sender)

    def _is_allowed(self, host: str) -> bool:
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._allowed)

    def _schedule(self, group: Group, sender: Address) -> None:
        if group.at_unix_s is None:
            self._apply(group.messages, sender)
            return
        # Time tags are wall-clock time by their definition; from here on the monotonic clock counts.
        ahead_s = group.at_unix_s - time.time()
        room = self._waiting_messages + len(group.messages) <= MAX_WAITING_MESSAGES
        if ahead_s > 0 and (ahead_s > MAX_AHEAD_S or not room):
            self.counts["too far ahead" if room else "too many ahead"] += 1
            why = f"time tag {ahead_s:.1f} s ahead, more than {MAX_AHEAD_S:g} s" if room else "too many messages wait"
            self._reply(sender, group.messages[0].address, "noted", f"applied now: {why}")
        elif ahead_s > 0:
            at_s = time.perf_counter() + ahead_s
            heapq.heappush(self._waiting, _Waiting(at_s, next(self._order), group.messages, sender))
            self._waiting_messages += len(group.messages)
            return
        self._apply(group.messages, sender)

    def _deliver_due(self) -> None:
        while self._waiting and self._waiting[0].at_s <= time.perf_counter():
            due = heapq.heappop(self._waiting)
            self._waiting_messages -= len(due.messages)
            self._apply(due.messages, due.sender)

    def _apply(self, messages: Sequence[Message], sender: Address) -> None:
        fired_by = f"osc {sender[0]}:{sender[1]}"
        commands: list[Command] = []
        for message in messages:
            self.counts["messages"] += 1
            if self._asked(message, sender):
                continue
            made, note = parse_noted(message.address, message.args, self.show, fired_by)
            if isinstance(made, Rejection):
                self.counts["rejected"] += 1
                self._reply(sender, message.address, "rejected", made.reason)
                continue
            if note:
                self.counts["clipped"] += 1
                self._reply(sender, message.address, "clipped", note)
            commands.append(made)
        if len(commands) > 1 and self._post_together is not None:
            self._post_together(tuple(commands))
        else:
            for command in commands:
                self._post(command)

    def _asked(self, message: Message, sender: Address) -> bool:
        """Answers ping, sync, subscribe and unsubscribe; False for everything else."""
        verb = message.address.removeprefix("/cineml/")
        if verb not in ("ping", "sync", "subscribe", "unsubscribe"):
            return False
        port = message.args[0] if message.args else sender[1]
        if len(message.args) > 1 or isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            self.counts["rejected"] += 1
            self._reply(sender, message.address, "rejected", "takes nothing, or a port from 1 to 65535")
            return True
        who, now_s = (sender[0], port), time.perf_counter()
        if verb == "unsubscribe":
            self._listeners.drop(who)
        elif verb == "subscribe":
            known = who in self._listeners
            if not self._listeners.add(who, now_s):
                self._reply(sender, message.address, "rejected", f"{len(self._listeners)} listen already")
            elif not known and self._state is not None and self._answers.spend(now_s):
                self._listeners.tell_all(who, self._state, self.show)  # from there on, changes are enough
        elif verb == "ping":
            if self._answers.spend(now_s):
                self._send(format_message("/cineml/pong", self.show.name), who)
        elif self._state is None:
            self._reply(sender, message.address, "noted", "the show has not begun")
        elif self._answers.spend(now_s):
            self._listeners.tell_all(who, self._state, self.show)
        return True

    def _reply(self, sender: Address, address: str, status: str, reason: str) -> None:
        if self.counts[f"replied {status}"] == 0:
            log.warning("OSC from %s:%s: %s %s: %s (later ones are counted)", *sender, address, status, reason)
        self.counts[f"replied {status}"] += 1
        if self._complaints.spend(time.perf_counter()):
            self._send(format_message(f"/cineml/reply{address}", status, reason), sender)

    def _send(self, packet: bytes, who: Address) -> None:
        assert self._socket is not None
        try:
            self._socket.sendto(packet, who)
        except OSError:
            self.counts["not sent"] += 1  # nobody there, or the queue is full: never a reason to wait


def _bound(host: str, port: int) -> socket.socket:
    """A UDP socket bound to host and port, with the largest receive buffer that can be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # without it, Windows lets two players share a port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    # Linux gives at most net.core.rmem_max, except to root by SO_RCVBUFFORCE (33, which Python does not name).
    for option in (socket.SO_RCVBUF, 33) if sys.platform == "linux" else (socket.SO_RCVBUF,):
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER_BYTES)
    made.setblocking(False)
    try:
        made.bind((host, port))
    except OSError as e:
        made.close()
        reasons = {errno.EADDRINUSE: ("is in use", "close the other player, or set another osc_port"),
                   errno.EACCES: ("is not allowed to this user", "a port from 1024 on"),
                   errno.EADDRNOTAVAIL: ("is not of this machine", "127.0.0.1 or 0.0.0.0 as osc_bind")}
        reason, hint = reasons.get(e.errno or 0, (f"cannot be opened ({e.strerror})", "another osc_port"))
        given = f"UDP port {port} of {host} {reason}"
        raise ShowError(Problem("control.osc_port", given, "a free port, or 0 for no OSC", hint)) from None
    return made

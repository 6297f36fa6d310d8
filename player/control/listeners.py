"""Who listens to the player over OSC, for how long, and what they were told last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from player.control.osc_packet import format_message
from player.control.parameters import told_position, told_values
from player.show.parameter import Value
from player.show.show import Show
from player.state import ShowState

Address = tuple[str, int]
Send = Callable[[bytes, Address], None]

MAX_LISTENERS = 32
EXPIRY_S = 60.0
HEARTBEAT_S = 1.0
CHANGES_S = 0.1
MAX_REPLIES_A_S = 200.0  # a fader that hits its end sends 100 messages a second; more is a flood, and is not answered


@dataclass
class Budget:
    """How many answers may still be sent, so that a flood is not answered by a flood. a_second: also the most at once."""

    a_second: float = MAX_REPLIES_A_S
    _left: float = math.inf
    _at_s: float = -math.inf

    def spend(self, now_s: float) -> bool:
        """Whether one more may be sent."""
        self._left = min(self._left + max(0.0, now_s - self._at_s) * self.a_second, self.a_second)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass
class Listeners:
    """Subscribers by address with the time they expire (monotonic seconds). Used by the receive thread only."""

    send: Send
    _until_s: dict[Address, float] = field(default_factory=dict)
    _last: dict[str, Value] = field(default_factory=dict)
    _next_beat_s: float = -math.inf
    _next_changes_s: float = -math.inf
    _beat: int = 0

    def __len__(self) -> int:
        return len(self._until_s)

    def __contains__(self, who: Address) -> bool:
        return who in self._until_s

    def add(self, who: Address, now_s: float) -> bool:
        """Subscribes or renews; False where too many listen already."""
        self._expire(now_s)
        if who not in self._until_s and len(self._until_s) >= MAX_LISTENERS:
            return False
        self._until_s[who] = now_s + EXPIRY_S
        return True

    def drop(self, who: Address) -> None:
        self._until_s.pop(who, None)

    def _expire(self, now_s: float) -> None:
        self._until_s = {who: until for who, until in self._until_s.items() if until > now_s}

    def tell_all(self, who: Address, state: ShowState, show: Show) -> None:
        """The whole state to one."""
        for address, value in (*told_values(state), *told_position(state, show)):
            self.send(format_message(address, value), who)

    def wake_s(self, now_s: float) -> float:
        """Seconds until something is to be told; inf where nobody listens."""
        return max(0.0, min(self._next_beat_s, self._next_changes_s) - now_s) if self._until_s else math.inf

    def tell_due(self, state: ShowState | None, show: Show, now_s: float) -> None:
        """The heartbeat, the position and the values that changed, as far as they are due."""
        if now_s >= self._next_beat_s:
            self._next_beat_s = now_s + HEARTBEAT_S
            self._beat = (self._beat + 1) % 2**31
            self._expire(now_s)
            self._to_all([format_message("/cineml/heartbeat", self._beat, state.refresh if state else 0)])
        if now_s >= self._next_changes_s:
            self._next_changes_s = now_s + CHANGES_S
            if state is not None and self._until_s:
                values = (*told_values(state), *told_position(state, show))
                self._to_all(format_message(a, v) for a, v in values if a not in self._last or self._last[a] != v)
                self._last = dict(values)

    def _to_all(self, packets: Iterable[bytes]) -> None:
        for packet in packets:
            for who in self._until_s:
                self.send(packet, who)

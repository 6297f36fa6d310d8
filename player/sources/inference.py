"""The inference thread: aims in, finished frames out, and the ladder for sources that fail.

The play loop never waits here: it replaces the wanted aim (newest wins) and takes what is finished. A source that raises
gives way to the fallback film for that picture; one that keeps raising is left alone for a while; one that does not come
back at all is abandoned with its thread. Whatever happens, there is a next picture or the shelf holds the last.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.sources.aim import Aim, Layer, aim_at
from player.sources.frame import Frame, FrameSource, Held
from player.state import Latent, first_state

log = logging.getLogger("cineml")

PACE_PICTURES, PACE_QUANTILE = 30, 0.8
KEPT_TIMES = 20_000  # enough for percentiles of a day, little enough to keep for a year
MAX_UNREAD = 64
FAULTS_IN_A_ROW = 3  # after so many a source rests
RETRY_S = 3.0  # of show time, so that a replay rests alike
HUNG_S = 5.0  # a picture that takes this long, and many times its usual pace, will not come
CLOSE_S = 1.0
MAX_FAULT_TEXTS = 64


@dataclass
class _Health:
    """How one source has been doing. Written by the thread that makes pictures."""

    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=PACE_PICTURES))
    in_a_row: int = 0
    rests_until_s: float = -math.inf
    hung: bool = False


def robust_pace_s(times_s: deque[float]) -> float:
    """The upper quantile of recent times: one slow picture does not move it, a slower model does."""
    ordered = sorted(times_s)
    return ordered[min(int(PACE_QUANTILE * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def _check(frame: object) -> None:
    """Raises ValueError unless it is a Frame that the screen can draw: nothing else may leave this thread."""
    if not isinstance(frame, Frame) or not isinstance(frame.pixels, np.ndarray):
        raise ValueError(f"gave a {type(frame).__name__}, not a Frame of pixels")
    pixels, inner = frame.pixels, frame.inner
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"gave pixels {pixels.dtype} {list(pixels.shape)}, not uint8 [H, W, 3]")
    height, width = pixels.shape[:2]
    # Written so that nan is outside.
    if len(inner) != 4 or not (inner[0] >= 0 and inner[1] >= 0 and inner[2] > 0 and inner[3] > 0
                               and inner[0] + inner[2] <= width and inner[1] + inner[3] <= height):
        raise ValueError(f"gave a picture at {list(inner)} of {width}x{height} pixels")


def _where(layer: Layer) -> str:
    return f"shot {layer.shot}, frame {float(layer.film_position):.1f}"


class Inference:
    """Makes Frames for Aims on one thread of its own, or in the caller's (make_and_wait: manual clock).

    sources: by the name a Layer asks for. fallback: makes the picture where the source cannot; its Frames say
    source = 'fallback'. Call make and finished from the main thread only.
    """

    def __init__(self, sources: Mapping[str, FrameSource], show: Show, fallback: FrameSource | None = None) -> None:
        self._sources, self._show, self._fallback = dict(sources), show, fallback
        self._health = {name: _Health() for name in [*self._sources, "fallback"]}
        self._wake = threading.Condition()
        self._wanted: Aim | None = None
        self._making_since_s: float | None = None
        self._now_making = ""
        self._finished: list[Frame] = []
        self._worker: threading.Thread | None = None
        self._generation = 0  # a worker of an older one was abandoned: what it brings is dropped
        self._closed = False
        self._model_s: deque[float] = deque(maxlen=KEPT_TIMES)
        self._pictures = self._distinct = self._by_fallback = self._missed = 0
        self._faults: Counter[str] = Counter()
        self._fault_kinds: dict[str, str] = {}
        self._last_sum: dict[tuple[int, bool], int] = {}

    def open(self) -> None:
        """Opens every source, then makes a picture with each to know its pace. Raises ShowError with every problem."""
        found: list[Problem] = []
        for source in self._all_sources():
            try:
                source.open()
            except ShowError as e:
                found += [p for p in e.problems if p not in found]
        if found:
            for source in self._all_sources():
                source.close()
            raise ShowError(found)
        firsts: dict[str, int] = {}
        for shot in self._show.cuts.shots:
            for source_name in self._show.score_shot(shot.number).sources:
                firsts.setdefault(source_name, shot.number)
        starts = {name: Fraction(self._show.cuts.shots[number - 1].start) for name, number in firsts.items()}
        aims = [Aim(0.0, 0, (Layer(firsts[name], name, start),), Latent()) for name, start in starts.items()]
        for aim in [*aims, aim_at(first_state(self._show), 0.0, self._show)]:  # last the one that the show begins with
            self._pictures_of(aim, self._generation)
        self._pictures = self._distinct = self._by_fallback = self._missed = 0
        self._model_s.clear()
        self._last_sum = {}

    def _all_sources(self) -> list[FrameSource]:
        return [*self._sources.values(), *([self._fallback] if self._fallback is not None else [])]

    # --- the main thread's side

    def make(self, aim: Aim | None) -> None:
        """Asks for an aim's pictures; one that is waiting is replaced. None asks for nothing. Never waits."""
        with self._wake:
            self._abandon_if_hung()
            if aim is None or self._closed:
                return
            self._wanted = aim
            if self._worker is None:
                self._start_worker()
            self._wake.notify_all()

    def finished(self) -> list[Frame]:
        """The frames finished since the last call, in the order they were made."""
        with self._wake:
            self._abandon_if_hung()
            frames, self._finished = self._finished, []
        return frames

    def make_and_wait(self, aim: Aim | None) -> list[Frame]:
        """The pictures of one aim, made here and now by the same ladder, but that no source rests: what is waited for
        is tried every time. For a manual clock: not together with make."""
        return [] if aim is None else self._pictures_of(aim, self._generation, rests=False)

    @property
    def waiting(self) -> Aim | None:
        """The aim that was asked for and has not been begun."""
        return self._wanted

    @property
    def failures(self) -> int:
        """How many pictures came from the fallback or not at all, and how many faults there were; 0 when all is well."""
        return self._by_fallback + self._missed + sum(self._faults.values())

    def pace_of(self, source: str) -> float:
        """How long one picture of a source takes, recently, a robust upper quantile; 0 where it has made nothing yet."""
        health = self._health.get(source)
        return robust_pace_s(health.times_s.copy()) if health is not None else 0.0

    def facts(self) -> dict[str, Any]:
        """pictures: made by the sources; distinct_pictures: those that differ from their shot's last; by_fallback;
        missed: layers that nothing could make; model_ms {p50, p99} or None; provider: of the generator, else of whatever
        has one; faults {text: count}; sources {name: its own facts}."""
        times_ms = np.array(self._model_s.copy()) * 1000
        own = {name: source.facts() for name, source in self._sources.items()}
        providers = [f.get("provider") for f in own.values() if f.get("provider")]
        return {"pictures": self._pictures, "distinct_pictures": self._distinct, "by_fallback": self._by_fallback,
                "missed": self._missed, "faults": dict(self._faults), "sources": own,
                "provider": own.get("generator", {}).get("provider") or (providers[0] if providers else None),
                "model_ms": {"p50": float(np.percentile(times_ms, 50)), "p99": float(np.percentile(times_ms, 99))}
                if len(times_ms) else None}  # fmt: skip

    def close(self) -> None:
        """Ends the thread and closes the sources. One that hangs is left to the end of the process, and all that it is made
        of: it may be at work with that."""
        with self._wake:
            self._closed, self._wanted = True, None
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.join(CLOSE_S)
            if self._worker.is_alive():
                log.warning("%s does not come back; left behind at close", self._now_making or "a source")
                self._health.get(self._now_making, _Health()).hung = True
        hung = [source for name, source in self._sources.items() if self._health[name].hung]
        used = [base for source in hung for base in getattr(source, "bases", {}).values()]
        for name, source in [*self._sources.items(), *([("fallback", self._fallback)] if self._fallback else [])]:
            # Pulling a session or a film from under a running thread would crash the process.
            if not self._health[name].hung and not any(source is base for base in used):
                source.close()

    def _start_worker(self) -> None:
        self._worker = threading.Thread(target=self._work, args=(self._generation,), name="inference", daemon=True)
        self._worker.start()

    def _abandon_if_hung(self) -> None:
        """Leaves a worker that does not come back, so that the fallback can go on. Called with the condition held."""
        since_s, name = self._making_since_s, self._now_making
        if since_s is None or name not in self._health:
            return
        waited_s = time.perf_counter() - since_s
        if waited_s < max(HUNG_S, 20 * self.pace_of(name)):
            return
        self._health[name].hung = True
        self._fault(f"{name}: does not come back", f"after {waited_s:.1f} s")
        self._generation += 1
        self._making_since_s, self._now_making = None, ""
        self._start_worker()  # at once: an aim is waiting, and the loop gives no other while it does

    # --- the inference thread's side

    def _work(self, generation: int) -> None:
        while True:
            with self._wake:
                while self._wanted is None and not self._closed and generation == self._generation:
                    self._wake.wait()
                if self._closed or generation != self._generation:
                    return
                aim, self._wanted = self._wanted, None
                self._making_since_s = time.perf_counter()
            assert aim is not None
            frames = self._pictures_of(aim, generation)
            with self._wake:
                if generation != self._generation:
                    return  # abandoned meanwhile: another thread has gone on
                self._making_since_s, self._now_making = None, ""
                self._finished = [*self._finished, *frames][-MAX_UNREAD:]

    def _pictures_of(self, aim: Aim, generation: int, rests: bool = True) -> list[Frame]:
        frames: list[Frame] = []
        for layer in aim.layers:
            frame = self._picture(aim, layer, generation, rests)
            if generation != self._generation:
                return []  # abandoned in the middle: the sources belong to another thread now
            if frame is not None:
                frames.append(frame)
        return frames

    def _picture(self, aim: Aim, layer: Layer, generation: int, rests: bool) -> Frame | None:
        """One layer's picture: from its source, else from the fallback, else None."""
        frame = self._from_source(aim, layer, generation, rests)
        if generation != self._generation:
            return None
        if frame is not None:
            self._pictures += 1
            total = zlib.crc32(np.ascontiguousarray(frame.pixels).data)
            self._distinct += total != self._last_sum.get((layer.shot, layer.under))
            seen = {(one.shot, one.under) for one in aim.layers}
            self._last_sum = {**{k: v for k, v in self._last_sum.items() if k in seen}, (layer.shot, layer.under): total}
            return frame
        if self._fallback is not None and not self._health["fallback"].hung:
            frame = self._try(self._fallback, "fallback", aim, layer, generation)
        if frame is None:
            self._missed += 1
            return None
        self._by_fallback += 1
        return replace(frame, source="fallback")

    def _from_source(self, aim: Aim, layer: Layer, generation: int, rests: bool) -> Frame | None:
        """The picture by the layer's own source, unless it rests, hangs or fails."""
        source, health = self._sources.get(layer.source), self._health.get(layer.source)
        if source is None or health is None:
            self._fault(f"{layer.source}: the show has no such source", f"shot {layer.shot}")
            return None
        if health.hung or (rests and aim.show_time_s < health.rests_until_s):
            return None
        frame = self._try(source, layer.source, aim, layer, generation)
        if frame is None:
            health.in_a_row += 1
            if health.in_a_row >= FAULTS_IN_A_ROW:
                health.rests_until_s = aim.show_time_s + RETRY_S
        elif health.in_a_row:
            if health.in_a_row >= FAULTS_IN_A_ROW:
                log.warning("%s works again", layer.source)
            health.in_a_row, health.rests_until_s = 0, -math.inf
        return frame

    def _try(self, source: FrameSource, name: str, aim: Aim, layer: Layer, generation: int) -> Frame | None:
        """One attempt, timed; None where it raised or gave what is no picture."""
        with self._wake:
            if generation == self._generation:
                self._now_making = name
        started_s = time.perf_counter()
        try:
            try:
                frame = source.make(aim, layer)
            except Held as held:
                frame = held.frame
                self._fault(f"{name}: {held}; the one before it is held", _where(layer))
            _check(frame)
            if layer.glide_from or layer.under:
                frame = replace(frame, glide_from=layer.glide_from, under=layer.under)
        except Exception as e:  # whatever a source may raise, the picture goes on
            words = " ".join(str(e).split())[:160]
            self._fault(f"{name}: {type(e).__name__}: {words}", _where(layer))
            return None
        finally:
            self._health[name].hung = False  # it has come back, if only to an abandoned thread: try it again
        took_s = time.perf_counter() - started_s
        self._health[name].times_s.append(took_s)
        if name != "fallback":
            self._model_s.append(took_s)
        return frame

    def _fault(self, text: str, where: str) -> None:
        """Logged the first time, counted every time; texts that differ in numbers only are one fault."""
        kind = re.sub(r"\d+(\.\d+)?", "#", text)
        first = self._fault_kinds.get(kind)
        if first is None:
            first = text if len(self._fault_kinds) < MAX_FAULT_TEXTS else "other faults"
            self._fault_kinds[kind] = first
            log.error("%s (%s); counted from now on", text, where)
        self._faults[first] += 1

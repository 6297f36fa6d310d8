"""One review of one show: what stands on disk, what was done to it, and never a word written over another program's.

Every deed is written at once. Before each write the files are compared with what this review read or wrote last; where they
differ nothing is written until a person says which of the two is meant.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from player.show.config import read_show
from player.show.cut_list import CutList, problems_of, read_csv
from player.show.film import format_timecode
from player.show.mixing import Mixing
from player.show.problem import Problem, ShowError
from player.show.score import Score, try_score
from player.show.show import Show
from player.sources.film_reader import probe_film
from tools.review_deeds import apply
from tools.review_edit import SWAP, History, Work, is_same_work
from tools.review_files import notes_of, write_commented, write_cuts
from tools.review_pictures import stamp, walk_stamp
from tools.review_walks import Candidate, candidates
from tools.score_comments import Comments, comments_of

MOST_PROBLEMS = 20  # told to the page
KEY_ADDRESS = "/cineml/latent/key"


class Changed(Exception):
    """Another program has written these files since; nothing was done."""

    def __init__(self, names: list[str]):
        self.names = names
        super().__init__(", ".join(names))


class Stale(Exception):
    """The page that asked shows an older state than there is (a second window): nothing was done."""


@dataclass(frozen=True)
class _Seen:
    """A file as this review knows it. stat: (mtime in ns, size), None where it is not there."""

    stat: tuple[int, int] | None
    sha256: str


def _seen(path: Path) -> _Seen:
    try:
        found = path.stat()
        with path.open("rb") as f:
            return _Seen((found.st_mtime_ns, found.st_size), hashlib.file_digest(f, "sha256").hexdigest())
    except OSError:
        return _Seen(None, "")


def _differs(path: Path, known: _Seen) -> bool:
    try:
        found = path.stat()
    except OSError:
        return known.stat is not None
    return (found.st_mtime_ns, found.st_size) != known.stat and _seen(path).sha256 != known.sha256


def _read(show: Show, cuts_path: Path, score_path: Path | None) -> tuple[CutList, Score | None]:
    """Cut list and score as they stand. Raises ShowError with everything wrong in either."""
    found: list[Problem] = []
    cuts: CutList | None = None
    try:
        cuts = read_csv(cuts_path)
        found += problems_of(cuts, cuts_path.name, show.film.frames)
    except ShowError as e:
        found += e.problems
    reading = try_score(score_path) if score_path is not None else None
    found += reading.problems if reading is not None else ()
    if found or cuts is None:
        raise ShowError(found)
    return cuts, reading.score if reading is not None else None


def _mix_said(mix: Mixing) -> str:
    if isinstance(mix, (int, float)):
        return f"{mix:g}"
    return ", ".join(f"{weight:g} at {frame}" for frame, weight in mix[:4]) + (" ..." if len(mix) > 4 else "")


class Session:
    """A show under review. For any thread: every method holds one lock.

    Raises ShowError where film, cut list or score cannot be read; a show with other mistakes is opened, and they are told.
    """

    def __init__(self, path: Path, probe: Callable[[Path], tuple[Fraction, int, int, int]] = probe_film) -> None:
        self._probe = cache(probe)
        reading = read_show(path, self._probe)
        if reading.show is None:
            raise ShowError(reading.problems)
        self.show, self.lock, self.version = reading.show, threading.RLock(), 1
        cuts_path, self.score_path = reading.files.get("the show's cut list"), reading.files.get("the show's score")
        found = [] if cuts_path is not None else [
            Problem(f"{path}: film.cuts", "is missing", "the show's cut list", "cineml cuts detect FILM -o cuts.csv")]
        if self.show.film.path is None:
            named = Problem(f"{path}: film.file", "is missing", "a film to review")
            found += [p for p in reading.problems if "film" in p.where] or [named]
        if found or cuts_path is None:
            raise ShowError(found)
        self.cuts_path = cuts_path
        called = frozenset(str(v) for cue in self.show.cues for address, v, _ in cue.sends if address == KEY_ADDRESS)
        cuts, score = _read(self.show, cuts_path, self.score_path)
        folder = self.score_path.parent if self.score_path is not None else Path()
        self.first = Work(cuts, score, self.show.source, called, folder, self._comments())
        self.history = History(self.first)
        self._notes = notes_of(cuts_path)
        self.problems = self._told(reading.problems)
        self.said = ""
        self._seen = {p: _seen(p) for p in self.files}
        self._backed_up = False
        self._candidates: tuple[tuple[int, ...], list[Candidate]] = ((), [])

    @property
    def work(self) -> Work:
        return self.history.work

    @property
    def files(self) -> tuple[Path, ...]:
        """What is written."""
        score = self.score_path
        return (self.cuts_path,) if score is None else (self.cuts_path, score, score.with_suffix(".npz"))

    @property
    def folder(self) -> Path:
        """Where the first state is kept."""
        return self.show.path.with_suffix(".review")

    def changed(self) -> list[str]:
        """Names of files that another program has changed since this review read or wrote them."""
        with self.lock:
            return [p.name for p in self.files if _differs(p, self._seen[p])]

    def edit(self, asked: Mapping[str, Any], version: int | None = None) -> None:
        """A deed, done and written. Raises ShowError where it cannot be done or written, Changed and Stale."""
        with self.lock:
            self._check(version)
            work, told = apply(self.work, asked, self.candidate)
            self._take(self.history.done(told, work), told)

    def undo(self, version: int | None = None) -> None:
        with self.lock:
            self._check(version)
            if self.history.past:
                self._take(self.history.undone(), f"undone: {self.history.past[-1][0]}")

    def redo(self, version: int | None = None) -> None:
        with self.lock:
            self._check(version)
            if self.history.future:
                self._take(self.history.redone(), f"done again: {self.history.future[0][0]}")

    def reload(self) -> None:
        """What stands on disk now, and nothing to undo. Raises ShowError where it cannot be read: all stays as it was."""
        with self.lock:
            seen = {p: _seen(p) for p in self.files}
            cuts, score = _read(self.show, self.cuts_path, self.score_path)
            self.history = History(replace(self.work, cuts=cuts, score=score, comments=self._comments()))
            self._notes = notes_of(self.cuts_path)
            self._seen, self.said = seen, "read again from disk"
            self._after()

    def overwrite(self) -> None:
        """What is shown here goes over what another program wrote, of which a copy is kept. Raises ShowError."""
        with self.lock:
            count = 1
            while (folder := self.folder / f"theirs-{count}").exists():
                count += 1
            self._copy_to(folder)
            self._write(self.work, None)
            self.said = f"written; what the other program wrote is in {self.folder.name}/{folder.name}"
            self._after()

    def _check(self, version: int | None) -> None:
        if version is not None and version != self.version:
            raise Stale
        if names := self.changed():
            raise Changed(names)

    def _take(self, history: History, said: str) -> None:
        """Writes what is new, then takes it as the truth."""
        if not is_same_work(history.work, self.work):
            self._back_up()
            self._write(history.work, self.work)
        self.history, self.said = history, said
        self._after()

    def _after(self) -> None:
        self.version += 1
        self.problems = self._told(read_show(self.show.path, self._probe).problems)

    def _told(self, problems: tuple[Problem, ...]) -> list[str]:
        return [str(p) for p in problems[:MOST_PROBLEMS]]

    def _write(self, new: Work, old: Work | None) -> None:
        """The files in which they differ (all, where old is None); where the second fails, the first is put back."""
        put_back: list[Callable[[], None]] = []
        try:
            score, was = new.score, old.score if old is not None else None
            if score is not None and self.score_path is not None and (was is None or score is not was):
                path = self.score_path
                if old is not None and was is not None:
                    put_back.append(lambda: write_commented(was, old.comments, path))
                write_commented(score, new.comments, path)
            if old is None or new.cuts != old.cuts:
                write_cuts(new.cuts, self._notes, self.cuts_path)
        except OSError as e:
            self.cuts_path.with_name(self.cuts_path.name + ".part").unlink(missing_ok=True)
            for undo in put_back:
                with contextlib.suppress(OSError):
                    undo()
            reason = e.strerror or str(e)
            raise ShowError(Problem(str(e.filename or self.show.path.parent), f"cannot be written ({reason})",
                                    "a folder that can be written, with room", "nothing was changed")) from None
        finally:
            self._seen = {p: _seen(p) for p in self.files}

    def _comments(self) -> Comments:
        return comments_of(self.score_path) if self.score_path is not None else Comments()

    def _back_up(self) -> None:
        """Before the first write: the files as they are, as `first` for good and as `before` until the next review."""
        if self._backed_up:
            return
        if not (first := self.folder / "first").exists():
            self._copy_to(first)
        before = self.folder / "before"
        shutil.rmtree(before, ignore_errors=True)
        self._copy_to(before)
        self._backed_up = True

    def _copy_to(self, folder: Path) -> None:
        """Copies of the files in a folder that is there only when it is whole. Raises ShowError."""
        part = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for path in self.files:
                if path.is_file():
                    shutil.copy2(path, part / path.name)
            os.replace(part, folder)
        except OSError as e:
            shutil.rmtree(part, ignore_errors=True)
            raise ShowError(Problem(str(folder), f"cannot be written ({e.strerror or e})", "a folder that can be written",
                                    "nothing was changed: no copy of the first state could be kept")) from None

    def candidates(self, number: int) -> list[Candidate]:
        """The walks that a shot might play instead."""
        with self.lock:
            folder = self.score_path.with_suffix(".work") if self.score_path is not None else None
            written = folder.stat().st_mtime_ns if folder is not None and folder.is_dir() else 0
            key = (self.version, number, written)
            if self._candidates[0] != key:
                self._candidates = key, candidates(self.work.cuts, self.work.score, number, folder)
            return self._candidates[1]

    def candidate(self, number: int, id_: str) -> Candidate | None:
        return next((c for c in self.candidates(number) if c.id == id_), None)

    def state(self) -> dict[str, Any]:
        """All that the page shows but keys and candidates, as JSON takes it."""
        with self.lock:
            cuts, history = self.work.cuts, self.history
            return {
                "version": self.version, "name": self.show.name, "said": self.said, "problems": self.problems,
                "changed": self.changed(), "has_score": self.work.score is not None,
                "film": {"name": self.show.film.path.name if self.show.film.path else "", "frames": cuts.frames,
                         "rate": float(cuts.rate), "width": self.show.film.width, "height": self.show.film.height},
                "undo": history.past[-1][0] if history.past else "",
                "redo": history.future[0][0] if history.future else "",
                "files": [p.name for p in self.files],
                "again": self._again(),
                "shots": [self._shot(s.number) for s in cuts.shots],
            }  # fmt: skip

    def _again(self) -> list[int]:
        """Shots whose pins or bans have changed since the review began: the next remap has to do them again, but for those
        that are locked, which it leaves as they are."""
        was = {r.walk: (r.pin, r.ban) for r in self.first.score.shots} if self.first.score is not None else {}
        rows = self.work.score.shots if self.work.score is not None else ()
        return [r.number for r in rows if not r.lock and (r.pin, r.ban) != was.get(r.walk, ((), ()))]

    def _shot(self, number: int) -> dict[str, Any]:
        work = self.work
        shot, row = work.cuts.shots[number - 1], work.row(number)
        return {
            "number": number, "start": shot.start, "end": shot.end, "into": shot.into, "in_frames": shot.in_frames,
            "in_colour": shot.in_colour, "out": shot.out, "out_frames": shot.out_frames, "out_colour": shot.out_colour,
            "label": shot.label, "group": shot.group, "timecode": format_timecode(shot.start, work.cuts.rate),
            "source": row.source, "sources": row.sources, "mix": _mix_said(row.mix),
            "walk": row.walk, "look": row.look, "entry": row.entry, "lock": row.lock,
            "swap": str(row.extra.get(SWAP, "")), "pins": len(row.pin), "bans": len(row.ban), "stamp": stamp(work, number),
        }  # fmt: skip

    def details(self, number: int) -> dict[str, Any]:
        """A shot's key latents and candidates. Raises ShowError for no shot."""
        with self.lock:
            work = self.work
            shot, row = work.cuts.by_number(number), work.row(number)
            if shot is None:
                raise ShowError(Problem("shot", f"there is no shot {number}", f"1 to {len(work.cuts.shots)}"))
            walk = work.score.walks.get(row.walk) if work.score is not None else None
            pins, keys = {p.partition("@")[0] for p in row.pin}, []
            if walk is not None and "generator" in row.sources:
                mark = walk_stamp(walk)
                for name, frame in zip(walk.names, (int(f) for f in walk.frames), strict=True):
                    keys.append({"name": name, "frame": frame, "inside": shot.start <= frame < shot.end, "stamp": mark,
                                 "mark": "pin" if name in pins else "ban" if name in row.ban else ""})
            shown = {k["name"] for k in keys}
            elsewhere = [{"name": n, "mark": m} for m, names in (("pin", sorted(pins)), ("ban", row.ban))
                         for n in names if n not in shown]
            listed = [{"id": c.id, "why": c.why, "near": c.near, "keys": len(c.walk.frames), "stamp": walk_stamp(c.walk)}
                      for c in self.candidates(number)]
            return {"version": self.version, "number": number, "keys": keys, "elsewhere": elsewhere, "candidates": listed}

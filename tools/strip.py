"""`cineml strip REMAKE -o strip.pdf`: the way back to film, as sheets to be printed on clear film, cut and spliced.

Strips of 16 mm or Super 16 frames in a vector PDF, true to scale. The film is read in order and written picture by picture:
memory does not grow with its length. Nothing is written before sheets, length and size are said.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.strip_cover import Cover
from tools.strip_density import Tone, read_densities, tone_of
from tools.strip_draw import LAYERS, aperture_of, draw_sheet
from tools.strip_measures import MM_AN_INCH, measures_of
from tools.strip_options import Wanted, arguments, record_of, wanted_of
from tools.strip_pdf import MOST_BYTES, PdfFile, PdfPage, encoded, lacking
from tools.strip_sheet import Film, Layout, Placed, dots, layout_of, placed, snapped
from tools.strip_source import Frames, chosen, frames_at
from tools.whole_file import write_whole

Pixels = npt.NDArray[np.uint8]
STOPPED = 130
TRIED = 16  # pictures that are made to say how large the file will be
DRAWN_BYTES = 260  # of lines and numbers for each frame, compressed, and what the file keeps of its picture


@dataclass(frozen=True)
class Job:
    """What is to be written. numbers: the film's frame of every printed one. grey: one channel is enough."""

    wanted: Wanted
    frames: Frames
    numbers: Sequence[int]
    layout: Layout
    tone: Tone
    grey: bool

    def prepared(self, picture: Pixels, put: Placed) -> Pixels:
        """The part of a picture [H, W, 3] that is seen, in the printer's dots: uint8 [h, w] or [h, w, 3]."""
        if self.wanted.mirrored:
            picture = picture[:, ::-1]
        image = Image.fromarray(np.ascontiguousarray(picture)).convert("L" if self.grey else "RGB")
        x0, y0, x1, y1 = put.part
        box = (x0 * image.width, y0 * image.height, x1 * image.width, y1 * image.height)
        return self.tone(np.asarray(image.resize(dots(put.box, self.wanted.dpi), Image.Resampling.LANCZOS, box)))

    def place(self, shape: tuple[float, float], film: Film, place: int) -> Placed:
        """Where on its sheet a picture of that shape stands."""
        picture = self.wanted.picture
        put = placed(shape, aperture_of(film, place, picture), (picture.width.mm, picture.height.mm), self.wanted.fit)
        return snapped(put, self.wanted.dpi, self.wanted.sheet_mm[1]) if self.wanted.snap else put

    @property
    def quality(self) -> int | None:
        return self.wanted.quality if self.wanted.coding == "jpeg" else None

    @property
    def cover(self) -> Cover:
        return Cover(self.wanted, self.tone, f"{self.frames.path.name} as {self.wanted.picture.name}", tuple(self.facts()))

    def bytes_about(self) -> int:
        """How large the file will be, from some of its pictures. Raises ShowError for a film that cannot be read."""
        film, sizes = self.layout.strip(1).film, []
        for n in np.unique(np.linspace(0, len(self.numbers) - 1, TRIED).astype(int)):
            picture = self.frames.picture(self.numbers[int(n)])
            put = self.place(self.frames.shape(picture), film, 0)
            sizes.append(len(encoded(self.prepared(picture, put), self.quality).data))
        different = self.layout.pictures if self.wanted.snap else len(self.numbers) // self.wanted.repeat
        return round(different * float(np.mean(sizes)) + self.layout.pictures * DRAWN_BYTES) + 8000

    @cached_property
    def first(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of the first frame: its dots on the sheet, and the film's pixels that are seen there."""
        picture = self.frames.picture(self.numbers[0])
        put = self.place(self.frames.shape(picture), self.layout.strip(1).film, 0)
        x0, y0, x1, y1 = put.part
        return dots(put.box, self.wanted.dpi), (round((x1 - x0) * picture.shape[1]), round((y1 - y0) * picture.shape[0]))

    def facts(self) -> list[str]:
        """What is printed and how, line by line: for the first page and for the terminal."""
        w, layout, (made, seen) = self.wanted, self.layout, self.first
        feet, left = layout.feet
        seconds = float(len(self.numbers) / w.projector_fps)
        minutes = f"{int(seconds // 60)} min {seconds % 60:.1f} s" if seconds >= 60 else f"{seconds:.1f} s"
        each = "" if w.repeat == 1 else f", each {w.repeat} times"
        shrink = ", ".join(f"{100 * s:g} %" for s in w.shrink)
        said = [f"Frames {self.numbers[0]} to {self.numbers[-1]} of {self.frames.count}{each}: {len(self.numbers)} frames on "
                f"film, {layout.length_m:.3f} m, {feet} ft {left} frames, {minutes} at {float(w.projector_fps):g} a second. "
                "Frames count from 0.",
                f"{w.picture.name}, {w.picture.width.mm:g} x {w.picture.height.mm:g} mm, pitch {w.pitch.mm:.3f} mm; "
                f"{'the whole picture' if w.fit == 'contain' else 'the frame filled'}; {'grey' if self.grey else 'colour'}, "
                f"{made[0]} x {made[1]} dots a frame at {w.dpi} an inch"
                f"{', on whole dots' if w.snap else ''}.",
                f"{layout.strips} strips of up to {layout.per_strip} frames, {layout.columns} on a sheet, join: {w.join}; "
                f"{layout.sheets} sheet{'s' if layout.sheets > 1 else ''} {w.sheet_name} after "
                f"{'the first page' if self.cover_pages == 1 else f'{self.cover_pages} pages of measures'}.",
                f"Tones: {self.tone.text}. Ink side: {'away, mirrored' if w.mirrored else 'towards you'}. Around the picture: "
                f"{w.around}. {'' if w.picture.format == 'super16' else f'Optical track: {w.track}. '}"
                f"Made up for shrinking, along and across: {shrink}."]  # fmt: skip
        if made[1] > seen[1]:
            said.append(f"Of the film {seen[0]} x {seen[1]} pixels are seen: more dots than that show nothing more.")
        rate = self.frames.rate
        if rate is not None and rate * w.repeat != w.projector_fps:
            tempo = w.projector_fps / (rate * w.repeat)
            said.append(f"The film has {float(rate):.6g} frames a second: the projector shows it at {float(100 * tempo):.4g} % "
                        "of its speed.")  # fmt: skip
        if w.picture.format == "super16":
            said.append("Super 16 lies where the optical track would be: such a strip has no sound, and shows whole only in a "
                        "projector with a Super 16 gate.")  # fmt: skip
        return said

    @property
    def cover_pages(self) -> int:
        return len(Cover(self.wanted, self.tone, "", ("",) * 6).pages())


def job_of(wanted: Wanted) -> Job:
    """The film opened, strips laid out. Raises ShowError."""
    frames = frames_at(wanted.film)
    try:
        numbers = chosen(frames, wanted.start, wanted.end, wanted.repeat)
        layout = layout_of(wanted, len(numbers))
        densities = read_densities(wanted.densities) if wanted.densities is not None else None
        grey = wanted.colour == "grey" or (wanted.colour == "auto" and not frames.coloured())
        return Job(wanted, frames, numbers, layout, tone_of(wanted.negative, wanted.gamma, densities), grey)
    except ShowError:
        frames.close()
        raise


def plan(job: Job) -> int:
    """Says what will be written. Returns the bytes that the file will have, about. Raises ShowError where there is no room."""
    about, wanted = job.bytes_about(), job.wanted
    for line in job.facts():
        print(line)
    print(f"{job.cover_pages + job.layout.sheets} pages, about {about / 1e6:.3g} MB.")
    if lost := lacking(job.frames.path.name):
        told = f"the sheets' font has no letters for {' '.join(lost)}: ? is printed for each in the film's name"
        print(told, file=sys.stderr)
    if about > MOST_BYTES:
        given = f"would have about {about / 1e9:.3g} GB"
        raise ShowError(Problem(str(wanted.output), given, "10 GB in one PDF", "--start and --end, --coding jpeg, fewer --dpi"))
    free = shutil.disk_usage(wanted.output.parent).free
    if about > free:
        given = f"needs about {about / 1e6:.3g} MB, and {free / 1e6:.3g} MB are free there"
        raise ShowError(Problem(str(wanted.output), given, "a disk with room"))
    return about


class Maker:
    """Makes each picture once and writes it at once; one that comes again (--repeat, --join overlap) is placed again."""

    def __init__(self, job: Job, pdf: PdfFile, progress: Progress) -> None:
        self._job, self._pdf, self._progress = job, pdf, progress
        self._last: tuple[int, tuple[float, float], int] | None = None  # film frame, shape, object
        self._done = 0

    def __call__(self, printed: int, film: Film, place: int) -> tuple[int, Placed]:
        job, frame = self._job, self._job.numbers[printed]
        self._done += 1
        self._progress.at(self._done)
        if self._last is not None and self._last[0] == frame and not job.wanted.snap:
            return self._last[2], job.place(self._last[1], film, place)
        picture = job.frames.picture(frame)
        put = job.place(shape := job.frames.shape(picture), film, place)
        made = self._pdf.picture(encoded(job.prepared(picture, put), job.quality))
        self._last = frame, shape, made
        return made, put


def write_pdf(job: Job, file: BinaryIO, progress: Progress) -> None:
    """All pages."""
    cover, size = job.cover, job.wanted.sheet_mm
    pdf = PdfFile(file, cover.title, LAYERS)
    for which in cover.pages():
        page = PdfPage(size[1], pdf.layers)
        cover.draw(page, which)
        pdf.page(size, page)
    make = Maker(job, pdf, progress)
    for sheet in range(1, job.layout.sheets + 1):
        page = PdfPage(size[1], pdf.layers)
        draw_sheet(page, job.layout, job.tone, sheet, job.numbers.__getitem__, cover.title, make)
        pdf.page(size, page)
    pdf.close()


def write(job: Job) -> None:
    """The PDF, whole or not at all, and its record. Raises ShowError; lets Ctrl-C through."""
    progress = Progress(job.layout.pictures, "frames", sys.stdout)

    def fill(part: Path) -> None:
        with part.open("wb") as file:
            write_pdf(job, file, progress)
            file.flush()
            os.fsync(file.fileno())

    write_whole(job.wanted.output, fill)
    text = json.dumps(record(job), indent=1, ensure_ascii=False) + "\n"
    # A name of bytes that are no UTF-8 is held as halves of letters, which JSON knows as \uXXXX.
    write_whole(record_of(job.wanted.output), lambda part: part.write_text(text, encoding="utf-8", errors="backslashreplace"))
    size = job.wanted.output.stat().st_size
    progress.done(f"{job.wanted.output}: {job.cover_pages + job.layout.sheets} pages, {size / 1e6:.3g} MB")


def record(job: Job) -> dict[str, Any]:
    """Options, hash of the input, versions, and every measure with its source."""
    options = {k: v for k, v in asdict(job.wanted).items() if k not in ("picture", "pitch")}
    plain = {k: str(v) if isinstance(v, Path | Fraction) else v for k, v in options.items()}
    measures = [asdict(m) for m in measures_of(job.wanted.picture, job.wanted.pitch)]
    versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in ("numpy", "pillow", "av")}
    return {"tool": "cineml strip", "options": {**plain, "format": job.wanted.picture.format}, "measures": measures,
            "input_sha256": job.frames.sha256(), "frames": [int(job.numbers[0]), int(job.numbers[-1]) + 1],
            "strips": job.layout.strips, "sheets": job.layout.sheets, "frames_a_strip": job.layout.per_strip,
            "dot_mm": MM_AN_INCH / job.wanted.dpi, "versions": versions}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        job = job_of(wanted_of(args))
        try:
            plan(job)
            if not job.wanted.dry_run:
                write(job)
        finally:
            job.frames.close()
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing is left half written", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())

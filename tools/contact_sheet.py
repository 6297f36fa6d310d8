"""A contact sheet: what each shot of a film looks like, original above, remake below, one column a shot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from player.screen.typeface import font_for
from player.show.cut_list import CutList, Shot, read_csv
from player.show.film import format_timecode
from player.show.problem import Problem, ShowError
from tools.whole_file import output_problems, write_whole

Pixels = npt.NDArray[np.uint8]

GROUND, INK, FAINT = (18, 18, 18), (235, 235, 235), (150, 150, 150)
MARGIN, GAP, TEXT_PX = 16, 6, 13
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass(frozen=True)
class Strip:
    """One row of the sheet. name: written at its left. frames: picture by film frame, [H, W, 3] uint8."""

    name: str
    frames: dict[int, Pixels]


def middle_frame(shot: Shot) -> int:
    """The frame that stands for a shot: the middle of what is neither dissolved nor faded."""
    first = shot.start + shot.in_frames
    last = shot.end - shot.out_frames
    return (first + last) // 2 if first < last else (shot.start + shot.end) // 2


def pick_frames(path: Path, wanted: Iterable[int], aspect: float | None = None) -> dict[int, Pixels]:
    """Those frames of a film, decoded once from its beginning. aspect: keep only the middle of this shape (width over
    height), where the film stands between bars. Frames past the film's end are left out. Raises ShowError."""
    found: dict[int, Pixels] = {}
    remaining = set(wanted)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(container.decode(stream)):
                if index in remaining:
                    found[index] = without_bars(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), aspect)
                    remaining.discard(index)
                if not remaining:
                    break
    except (OSError, av.FFmpegError, IndexError) as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e})", "a film")) from None
    return found


def without_bars(pixels: Pixels, aspect: float | None) -> Pixels:
    """The largest middle part of [H, W, 3] that has this shape; all of it where aspect is None or fits already."""
    if aspect is None:
        return pixels
    h, w = pixels.shape[:2]
    if w / h > aspect:
        inner = min(w, round(h * aspect))
        return pixels[:, (w - inner) // 2:(w - inner) // 2 + inner]
    inner = min(h, round(w / aspect))
    return pixels[(h - inner) // 2:(h - inner) // 2 + inner]


def fitted(text: str, width_px: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The text, cut with an ellipsis where it is wider than width_px, so that neighbours never overlap."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def draw_sheet(strips: Sequence[Strip], cuts: CutList, columns: int = 6, picture_px: int = 240) -> Image.Image:
    """The sheet as a picture. Columns wrap: the shots stand in bands of `columns`, all strips of a shot one above the
    other. picture_px: width of one picture."""
    font = font_for([*(s.name for s in strips), *(shot.label for shot in cuts.shots)], TEXT_PX)
    first = next((p for s in strips for p in s.frames.values()), np.zeros((3, 4, 3), np.uint8))
    height_px = round(picture_px * first.shape[0] / first.shape[1])
    name_px = round(max((font.getlength(s.name) for s in strips), default=0)) + 2 * GAP
    line_px = TEXT_PX + 5
    columns = max(1, min(columns, len(cuts.shots)))
    bands = -(-len(cuts.shots) // columns)
    band_px = 2 * line_px + len(strips) * (height_px + GAP) + MARGIN
    sheet = Image.new("RGB", (2 * MARGIN + name_px + columns * (picture_px + GAP), 2 * MARGIN + bands * band_px), GROUND)
    pen = ImageDraw.Draw(sheet)
    for i, shot in enumerate(cuts.shots):
        band, column = divmod(i, columns)
        x, y = MARGIN + name_px + column * (picture_px + GAP), MARGIN + band * band_px
        frame = middle_frame(shot)
        pen.text((x, y), fitted(f"{shot.number}  {shot.label}", picture_px, font), INK, font)
        timing = f"{format_timecode(shot.start, cuts.rate)}  {shot.frames} frames"
        if shot.into != "cut":
            timing += f"  {shot.into} {shot.in_frames}"
        pen.text((x, y + line_px), fitted(timing, picture_px, font), FAINT, font)
        for row, strip in enumerate(strips):
            top = y + 2 * line_px + row * (height_px + GAP)
            if column == 0:
                pen.text((MARGIN, top + height_px // 2 - line_px // 2), strip.name, FAINT, font)
            if (pixels := strip.frames.get(frame)) is not None:
                picture = Image.fromarray(np.ascontiguousarray(pixels))
                sheet.paste(picture.resize((picture_px, height_px), Image.Resampling.LANCZOS), (x, top))
            else:
                pen.rectangle((x, top, x + picture_px - 1, top + height_px - 1), outline=FAINT)
                pen.text((x + GAP, top + GAP), "no such frame", FAINT, font)
    return sheet


def make_sheet(films: Sequence[tuple[str, Path]], cuts: CutList, out: Path, aspect: float | None = None,
               columns: int = 6) -> None:
    """Writes the sheet of some films that share a cut list, in the order given, beside its place and renames it there.

    films: (name, path). aspect: see pick_frames. out: .png or .jpg. Raises ShowError for a film that cannot be read or a
    sheet that cannot be written, and leaves nothing half written.
    """
    if found := output_problems(out, tuple(FORMATS)):
        raise ShowError(found)
    wanted = [middle_frame(shot) for shot in cuts.shots]
    strips = [Strip(name, pick_frames(path, wanted, aspect)) for name, path in films]
    sheet = draw_sheet(strips, cuts, columns)
    write_whole(out, lambda part: sheet.save(part, FORMATS[out.suffix.lower()]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.contact_sheet", description="A sheet of every shot's middle frame, one column a shot.",
        epilog="examples:\n  python -m tools.contact_sheet film.cuts.csv film.mp4 -o sheet.png\n"
               "  python -m tools.contact_sheet film.cuts.csv film.mp4 remake.mp4 -o sheet.png --columns 8",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cuts", type=Path, help="cut list (CSV)")
    parser.add_argument("films", type=Path, nargs="+", help="films of that cut list, top row first")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the picture to write")
    parser.add_argument("--columns", type=int, default=6, help="shots side by side (6)")
    args = parser.parse_args(argv)
    try:
        cuts = read_csv(args.cuts)
        with av.open(str(args.films[0])) as container:
            stream = container.streams.video[0]
            aspect = stream.width / stream.height
        make_sheet([(p.stem, p) for p in args.films], cuts, args.out, aspect, args.columns)
    except ShowError as e:
        print("\n".join(str(p) for p in e.problems), file=sys.stderr)
        return 2
    except (OSError, av.FFmpegError, IndexError) as e:
        print(f"{args.films[0]}: cannot be read ({e})", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(cuts.shots)} shots")
    return 0


if __name__ == "__main__":
    sys.exit(main())

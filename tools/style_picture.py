"""One picture by a style command: it is there already, or it is painted while a preview beside it shows how far that is, and
what was only needed on the way is gone afterwards, however it ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from player.progress import Progress
from player.show.problem import ShowError
from tools.style_frames import Hand, Preview
from tools.style_output import Pixels, as_read, picture_place, picture_problems, record_of, write_picture
from tools.whole_file import make_folder, sha256_of


def make_picture(tool: str, args: argparse.Namespace, told: Mapping[str, Any], content: Pixels, alpha: Pixels | None,
                 hand: Callable[[], Hand], about: str = "") -> None:  # fmt: skip
    """args.output, and what made it beside it. told: what it follows from beside args.content, for JSON. content: uint8
    [H, W, 3], and its alpha [H, W], as read_content gives them. hand: who paints; only asked for where there is something to
    paint, and before anything is written. about: more to say of it beside its size. Raises ShowError."""
    common = as_read({**told, "picture": {"sha256": sha256_of(args.content)}})
    place = picture_place(args.output)
    found, there = picture_problems(place, tool, common, args.again)
    if found:
        raise ShowError(found)
    if there:
        print(f"{args.output} is there already, made of the same (--again makes it anew)")
        return
    painter = hand()
    make_folder(place.work)
    height, width = content.shape[:2]
    preview, progress = Preview(place.work / "preview.png"), Progress(100, "picture", sys.stdout, 100)
    print(f"{args.content.name}: {width}x{height}{about}; {preview.path} shows how far it is", flush=True)
    try:
        made = painter.paint(0, content, {}, lambda share: progress.at(round(100 * share)),
                             lambda shown: preview.show(content, shown))  # fmt: skip
        write_picture(place, made.picture, alpha, record_of(tool, args, common))
    finally:
        preview.clear()
        if place.work.is_dir() and not any(place.work.iterdir()):
            place.work.rmdir()
    progress.done(f"{args.output}: {width}x{height}")

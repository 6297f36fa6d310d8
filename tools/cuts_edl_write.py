"""A cut list as a CMX3600 EDL that Premiere and Resolve open.

One event a shot on one video track, all of one reel, AX, with the film's file name beside it, which both programs find
it by. Source times are the film's own timecode, record times begin at --timeline-start: 00:00:00:00, since Resolve sets an
imported timeline's start to that. A dissolve is two lines of one event, the first of no length; fades go to and from BL,
but for one at the very beginning, which stands in a note alone.
"""

from __future__ import annotations

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.cuts_notes import EDL_MARK, Layout, Piece, head_note, pieces_of, written
from tools.cuts_timecode import label_of, ntsc_parts, spoken

MOST_EVENTS = 999  # what CMX3600's three digits hold; Resolve reads more, older programs do not
LONGEST_TITLE = 70


def format_edl(cuts: CutList, where: str, layout: Layout) -> tuple[str, list[str]]:
    """(the text of the EDL, lines for a person). Raises ShowError for a rate that timecode cannot count."""
    rate, drop = cuts.rate, layout.drop
    base = round(rate)
    if not 1 <= base <= 100:
        raise ShowError(Problem(where, f"is at {spoken(rate)} frames a second", "up to 100 in an EDL", "an .otio"))
    last = label_of(max(layout.first, layout.source + layout.begin) + cuts.frames, rate, drop)
    if len(last) > 11:
        raise ShowError(Problem(where, f"ends at {last}", "less than 100 hours"))
    # OpenTimelineIO refuses the whole of an EDL that begins with a transition.
    pieces, said = pieces_of(cuts, layout.baked, opens=False)
    if ntsc_parts(rate) is None:
        said.append(f"{spoken(rate)} frames a second: timecode counts {base}, so other programs' seconds will be off")

    def line(number: int, reel: str, kind: str, source: tuple[int, int], record: tuple[int, int]) -> str:
        begin = 0 if reel == "BL" else layout.source + layout.begin
        frames = (source[0] + begin, source[1] + begin, record[0] + layout.first, record[1] + layout.first)
        times = " ".join(label_of(frame, rate, drop) for frame in frames)
        return f"{number:03d}  {reel:<8} V     {kind:<8} {times}"

    title = " ".join(layout.film.split())[:LONGEST_TITLE]
    lines = [f"TITLE: {title or 'cut list'}", f"FCM: {'DROP FRAME' if drop else 'NON-DROP FRAME'}", ""]
    number = 0
    for index, piece in enumerate(pieces):
        number += 1
        start, end = piece.start, piece.end - piece.out_frames
        if piece.into == "cut":
            lines.append(line(number, "AX", "C", (start, end), (start, end)))
        else:
            reel, at = ("BL", 0) if piece.into == "fade" else ("AX", start)
            lines.append(line(number, reel, "C", (at, at), (start, start)))
            lines.append(line(number, "AX", f"D    {piece.in_frames:03d}", (start, end), (start, end)))
        lines += _comments(piece, layout)
        if index == 0:
            # Not before the first event: OpenTimelineIO takes no comment there.
            begin = label_of(layout.first, rate, drop) if layout.first else ""
            lines.append(written(head_note(cuts, timeline_start=begin), EDL_MARK))
        if piece.out == "fade":
            number += 1
            lines.append(line(number, "AX", "C", (end, end), (end, end)))
            lines.append(line(number, "BL", f"D    {piece.out_frames:03d}", (0, piece.out_frames), (end, piece.end)))
    if number > MOST_EVENTS:
        said.append(f"{number} events: more than the {MOST_EVENTS} of CMX3600; Resolve reads them, older programs may not")
    return "\n".join(lines) + "\n", said


def _comments(piece: Piece, layout: Layout) -> list[str]:
    name = " ".join(layout.film.split()) or "film"
    lines = [f"* FROM CLIP NAME: {'BL' if piece.into == 'fade' else name}"]
    if piece.into != "cut":
        lines.append(f"* TO CLIP NAME: {name}")
    return [*lines, written(piece.note, EDL_MARK)]



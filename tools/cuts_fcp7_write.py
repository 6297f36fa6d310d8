"""A cut list as Final Cut Pro 7 XML (xmeml 4), which Premiere and Resolve both import.

What they ask for beyond the format's own rules: <format> with the picture's size (without it Resolve shows a black clip), a
<duration> for sequence, clip and file, the file said once and mentioned by id after that, file://localhost/ paths, start
and end of -1 at a transition, in and out on the sequence's own rate. Fades are one-sided transitions (start-black,
end-black); every shot has a sequence marker with its label.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import PurePath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.cuts_notes import XML_MARK, Layout, Piece, head_note, pieces_of, written
from tools.cuts_timecode import label_of, ntsc_parts, spoken


def format_fcp7(cuts: CutList, where: str, layout: Layout) -> tuple[str, list[str]]:
    """(the XML text, lines for a person). Raises ShowError for a rate that the format cannot hold."""
    if ntsc_parts(cuts.rate) is None:
        given = f"is at {spoken(cuts.rate)} frames a second"
        raise ShowError(Problem(where, given, "whole rates and their 1000/1001 in FCP7 XML", "an .otio"))
    pieces, said = pieces_of(cuts, layout.baked)
    root = Element("xmeml", version="4")
    name = _xml_text(layout.film) or "cut list"
    sequence = SubElement(root, "sequence", id="sequence-1")
    _texts(sequence, name=PurePath(name).stem, duration=cuts.frames)
    _rate(sequence, cuts.rate)
    _timecode(sequence, layout.first, cuts.rate, layout.drop)
    media = SubElement(sequence, "media")
    video = SubElement(media, "video")
    _picture(SubElement(video, "format"), cuts.rate, layout)
    track = SubElement(video, "track")
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else None
        if piece.into != "cut":
            alignment = "start-black" if piece.into == "fade" else "start"
            _transition(track, piece.start, piece.start + piece.in_frames, alignment, cuts.rate)
        _clip(track, piece, following, cuts, name, layout)
        if piece.out == "fade":
            _transition(track, piece.end - piece.out_frames, piece.end, "end-black", cuts.rate)
    _texts(track, enabled="TRUE", locked="FALSE")
    _marker(sequence, name, 0, written(head_note(cuts), XML_MARK))
    for piece in pieces:
        label = _xml_text(piece.shot.label) or f"shot {piece.shot.number}"
        _marker(sequence, label, piece.start, written(piece.note, XML_MARK))
    indent(root, " ")
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n{text}\n', said


def _xml_text(text: str) -> str:
    """Without what XML 1.0 cannot hold at all."""
    return "".join(c for c in text if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000")


def _texts(parent: Element, **values: object) -> None:
    for tag, value in values.items():
        SubElement(parent, tag).text = str(value)


def _rate(parent: Element, rate: Fraction) -> None:
    base, slow = ntsc_parts(rate) or (round(rate), False)
    _texts(SubElement(parent, "rate"), timebase=base, ntsc="TRUE" if slow else "FALSE")


def _timecode(parent: Element, frame: int, rate: Fraction, drop: bool) -> None:
    timecode = SubElement(parent, "timecode")
    _rate(timecode, rate)
    _texts(timecode, string=label_of(frame, rate, drop), frame=frame, displayformat="DF" if drop else "NDF")


def _picture(parent: Element, rate: Fraction, layout: Layout) -> None:
    about = SubElement(parent, "samplecharacteristics")
    if parent.tag == "format":
        _rate(about, rate)
    _texts(about, width=layout.width, height=layout.height, anamorphic="FALSE", pixelaspectratio="square",
           fielddominance="none")  # fmt: skip


def _clip(track: Element, piece: Piece, following: Piece | None, cuts: CutList, film: str, layout: Layout) -> None:
    """The clip's own frames and those that the dissolve after it shows on."""
    dissolves_out = following.in_frames if following is not None and following.into == "dissolve" else 0
    length = max(layout.length, layout.begin + cuts.frames)
    clip = SubElement(track, "clipitem", id=f"clipitem-{piece.shot.number}")
    _texts(clip, masterclipid="masterclip-1", name=_xml_text(piece.shot.label) or film, enabled="TRUE", duration=length)
    _rate(clip, cuts.rate)
    end = piece.end if piece.out == "cut" and not dissolves_out else -1
    begin, out = piece.start + layout.begin, min(piece.end + dissolves_out + layout.begin, length)
    _texts(clip, start=piece.start if piece.into == "cut" else -1, end=end, **{"in": begin, "out": out})
    file = SubElement(clip, "file", id="file-1")
    if piece.shot.number == 1:
        _texts(file, name=film, pathurl=_xml_text(layout.place) or film)
        _rate(file, cuts.rate)
        _texts(file, duration=length)
        _timecode(file, layout.source, cuts.rate, layout.drop)
        _picture(SubElement(SubElement(file, "media"), "video"), cuts.rate, layout)


def _transition(track: Element, start: int, end: int, alignment: str, rate: Fraction) -> None:
    transition = SubElement(track, "transitionitem")
    _texts(transition, start=start, end=end, alignment=alignment)
    _rate(transition, rate)
    _texts(SubElement(transition, "effect"), name="Cross Dissolve", effectid="Cross Dissolve", effectcategory="Dissolve",
           effecttype="transition", mediatype="video", wipecode=0, wipeaccuracy=100, startratio=0, endratio=1,
           reverse="FALSE")  # fmt: skip


def _marker(sequence: Element, name: str, frame: int, comment: str) -> None:
    _texts(SubElement(sequence, "marker"), comment=comment, name=name, **{"in": frame, "out": -1})

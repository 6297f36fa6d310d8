"""cuts check: every problem at once, warnings apart, and the exit code that says which."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from player.show.cut_list import CutList, Shot, format_csv
from tests.numbered_film import write_numbered
from tools.cuts_check import loose_csv, main, warnings_of

COLUMNS = "shot,start,end,in,in_frames,in_colour,out,out_frames,out_colour,label,group"
HEAD = f"# film: f.mp4\n# rate: 24/1\n# frames: 60\n{COLUMNS}\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 24 a second."""
    return write_numbered(tmp_path_factory.mktemp("film") / "f.mp4", Fraction(24), 60)


def check(text: str | bytes, folder: Path, capsys: pytest.CaptureFixture[str], *more: str,
          name: str = "cuts.csv") -> tuple[int, str]:  # fmt: skip
    path = folder / name
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    before = path.read_bytes()
    code = main([str(path), *more])
    said = capsys.readouterr()
    assert path.read_bytes() == before and "Traceback" not in said.err
    return code, said.out + said.err


def test_a_sound_list_is_said_in_a_line(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(HEAD + "1,0,24\n2,24,60,dissolve,8\n", tmp_path, capsys, "--film", str(film))
    assert code == 0 and "warning" not in said
    assert "2 shots, 60 frames at 24 a second (00:00:02:12), 1 dissolve, 0 fades" in said
    assert "the shortest is shot 1, 24 frames" in said


def test_every_problem_and_warning_comes_at_once(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "1,0,20\n2,24,25\n3,25,50,dissolve,30\n4,48,59,,,,fade,3\n"
    code, said = check(HEAD.replace("24/1", "25/1").replace("f.mp4", "g.mp4") + rows, tmp_path, capsys, "--film", str(film))
    assert code == 2
    for part in ("shot 2: starts at 24 and leaves a gap after frame 20", "shot 3: in_frames is 30; allowed: 1 to 25",
                 "shot 4: starts at 48 and overlaps frame 50", "out_colour is ''", "the shots end at frame 59",
                 "is at 25 frames a second, the film at 24", "warning: shot 2 has 1 frame at 24",
                 "warning: shot 3 dissolves over 30 frames out of shot 2, which has 1",
                 "warning: it was made for 'g.mp4', the film is 'f.mp4'"):  # fmt: skip
        assert part in said, part


def test_a_list_of_another_film_is_refused(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = HEAD.replace("60", "90") + "1,0,24\n2,24,90\n"
    code, said = check(text, tmp_path, capsys, "--film", str(film))
    assert code == 2 and "covers 90 frames, the film has 60" in said
    assert check(text, tmp_path, capsys)[0] == 0
    short = HEAD.replace("60", "24") + "1,0,24\n"
    assert check(short, tmp_path, capsys, "--film", str(film), "--start", "1s", "--end", "00:00:02:00")[0] == 0


def test_unreadable_numbers_are_said_with_what_can_still_be_told(film: Path, tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    code, said = check(HEAD + "1,0,x\n2,24,60,wipe\n", tmp_path, capsys, "--film", str(film))
    assert code == 2 and "end is 'x'" in said and "in is 'wipe'" in said


def test_warnings_leave_the_list_usable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "1,0,24,,,,fade,10,black\n2,24,25\n3,25,40,fade,15,black\n4,40,60,fade,15,black,fade,15,black\n"
    code, said = check(HEAD + rows, tmp_path, capsys)
    assert code == 0 and said.count("warning:") == 3
    for part in ("shot 2 has 1 frame", "shot 3 is never seen whole", "shot 4 goes out before it is in: 15 + 15 of 20"):
        assert part in said


def test_a_dissolve_out_of_what_has_gone_is_a_warning() -> None:
    cuts = CutList("f", Fraction(24), 60, (Shot(1, 0, 30, out="fade", out_frames=5, out_colour="black"),
                                           Shot(2, 30, 60, "dissolve", 8)))  # fmt: skip
    assert warnings_of(cuts) == ["shot 2 dissolves out of shot 1, which has faded to black"]


def test_other_formats_are_checked_too(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edl = ("001 A V C 00:00:00:00 00:00:01:00 01:00:00:00 01:00:01:00\n"
           "002 B V C 00:00:00:00 00:00:01:00 01:00:01:02 01:00:02:12\n")  # fmt: skip
    code, said = check(edl, tmp_path, capsys, "--film", str(film), name="a.edl")
    assert code == 0 and "warning: 1 gap in the edit" in said and "3 shots, 60 frames" in said
    code, said = check(edl, tmp_path, capsys, name="a.edl")
    assert code == 2 and "does not say its rate" in said
    code, said = check(edl, tmp_path, capsys, "--rate", "2", name="a.edl")
    assert code == 2 and "does not exist at 2 frames" in said


def test_an_old_encoding_is_a_problem_for_the_player(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check((HEAD + "1,0,60,,,,,,,Küche\n").encode("cp1252"), tmp_path, capsys)
    assert code == 2 and "is CP1252, not UTF-8" in said and "cineml cuts convert" in said


def test_what_is_no_cut_list_costs_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, says in (("", "is empty"), ("hello", "is no cut list that is known"), (b"\x00\x01\x02" * 50, "is no text")):
        code, said = check(text, tmp_path, capsys)
        assert code == 2 and says in said and said.count("\n") == 1
    assert main([str(tmp_path / "none.csv")]) == 2
    assert "is missing" in capsys.readouterr().err


def test_the_loose_reader_reads_a_sound_list_as_the_strict_one() -> None:
    cuts = CutList("f.mp4", Fraction(24), 60, (Shot(1, 0, 24), Shot(2, 24, 60, "dissolve", 8, "", "fade", 3, "white")))
    assert loose_csv(format_csv(cuts)) == cuts
    assert loose_csv("shot,start,end\n1,0,60\n") is None


def test_the_films_own_lists_are_sound(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = shared / "footage" / "sintel_trailer_480x204_24fps.mp4"
    assert main([str(shared / "cutlists" / "simple_cut.otio"), "--film", str(film)]) == 2
    assert "covers 19 frames, the film has 1252" in capsys.readouterr().err

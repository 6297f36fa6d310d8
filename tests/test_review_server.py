"""The review's session and its server: files that are written, files that are not, and who may ask."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.config import load_show
from player.show.cut_list import read_csv
from player.show.problem import ShowError
from player.show.score import read_score, write_score
from player.sources.film_reader import probe_film
from tests.numbered_film import number_in
from tests.review_show import write_show
from tools.review import main
from tools.review_options import port
from tools.review_pictures import Kept, Painter, stamp, to_bytes, to_light
from tools.review_server import MOST_BODY, ReviewServer
from tools.review_session import Changed, Session, Stale


@pytest.fixture
def show(tmp_path: Path) -> Path:
    return write_show(tmp_path / "show")


@pytest.fixture
def server(show: Path) -> Iterator[ReviewServer]:
    session = Session(show)
    made = ReviewServer(session, Painter(session.show))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def ask(server: ReviewServer, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """(status, JSON or bytes, headers) of a request as the page sends it, with these headers changed; '' takes one away."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    given = {"Host": f"127.0.0.1:{server.server_port}", "X-Cineml-Key": server.key}
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given |= {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{server.server_port}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in given.items() if value}
    connection.request("GET" if body is None else "POST", path, data, given)
    reply = connection.getresponse()
    content = reply.read()
    told = dict(reply.getheaders())
    connection.close()
    return reply.status, json.loads(content) if told.get("Content-Type") == "application/json" else content, told


def edit(server: ReviewServer, **deed: Any) -> tuple[int, Any]:
    return ask(server, "/api/edit", {"version": server.session.version, **deed})[:2]


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_deed_is_on_disk_when_it_is_answered_and_the_first_state_is_kept(server: ReviewServer, show: Path) -> None:
    first = {p.name: p.read_bytes() for p in server.session.files}
    status, state = edit(server, deed="nudge", shot=2, by=-2)
    assert status == 200 and state["said"] == "cut into shot 2 moved to frame 10" and state["undo"]
    assert read_csv(show.parent / "cuts.csv").shots[1].start == 10
    edit(server, deed="lock", shot=1, on=True)
    score = read_score(show.parent / "score.toml")
    assert score.shots[0].lock and score.extra == {"by": "hand"} and score.shots[0].extra == {"mood": "grey"}
    assert {p.name: p.read_bytes() for p in (show.parent / "show.review" / "first").iterdir()} == first
    assert load_show(show, probe_film).cuts.shots[1].start == 10
    status, state, _ = ask(server, "/api/undo", {"version": state["version"] + 1})
    status, state, _ = ask(server, "/api/undo", {"version": state["version"]})
    assert state["shots"][1]["start"] == 12 and state["redo"] and not state["undo"]
    assert {p.name: p.read_bytes() for p in server.session.files} == first
    assert not list(show.parent.glob("*.part"))


def test_what_another_program_wrote_is_never_written_over_before_a_person_says_so(server: ReviewServer, show: Path) -> None:
    cuts = show.parent / "cuts.csv"
    cuts.write_text(cuts.read_text().replace("one", "by hand"))
    theirs = cuts.read_bytes()
    status, said = edit(server, deed="label", shot=2, text="mine")
    assert status == 409 and said["changed"] == ["cuts.csv"] and cuts.read_bytes() == theirs
    assert ask(server, "/api/changed")[1]["changed"] == ["cuts.csv"]
    status, state, _ = ask(server, "/api/reload", {"version": 0})
    assert status == 200 and state["shots"][0]["label"] == "by hand" and not state["changed"] and not state["undo"]
    assert edit(server, deed="label", shot=2, text="mine")[0] == 200
    cuts.write_text(cuts.read_text().replace("mine", "theirs"))
    status, state, _ = ask(server, "/api/overwrite", {"version": 0})
    assert status == 200 and "mine" in cuts.read_text()
    assert "theirs" in (show.parent / "show.review" / "theirs-1" / "cuts.csv").read_text()


def test_a_file_that_was_only_touched_or_rewritten_the_same_is_not_changed(show: Path) -> None:
    session = Session(show)
    os.utime(show.parent / "cuts.csv", (5, 5))
    write_score(read_score(show.parent / "score.toml"), show.parent / "score.toml")
    assert session.changed() == []
    session.edit({"deed": "lock", "shot": 1, "on": True})
    (show.parent / "score.npz").unlink()
    assert session.changed() == ["score.npz"]
    with pytest.raises(Changed, match="score.npz"):
        session.undo()
    with pytest.raises(ShowError, match="is missing"):
        session.reload()
    assert session.work.row(1).lock


def test_a_second_window_that_shows_an_older_state_is_told_so(show: Path) -> None:
    session = Session(show)
    session.edit({"deed": "lock", "shot": 1, "on": True}, 1)
    with pytest.raises(Stale):
        session.edit({"deed": "lock", "shot": 2, "on": True}, 1)


def test_a_locked_shot_is_not_among_those_that_remap_does_again(show: Path) -> None:
    session = Session(show)
    for number in (1, 2):
        session.edit({"deed": "key", "shot": number, "name": f"s0{number}.f{12 * number - 12:04d}", "mark": "pin"})
    assert session.state()["again"] == [1, 2]
    session.edit({"deed": "lock", "shot": 1, "on": True})
    assert session.state()["again"] == [2]


def test_comments_of_the_score_stay_with_their_shots_and_come_back_with_undo(show: Path) -> None:
    path = show.parent / "score.toml"
    text = "# by hand\n" + path.read_text().replace("[[shot]]\nnumber = 3\n", "# the face\n[[shot]]\nnumber = 3\n# why\n")
    path.write_text(text + "# the end\n")
    session = Session(show)
    session.edit({"deed": "lock", "shot": 1, "on": True})
    once = path.read_text()
    assert [line for line in once.splitlines() if line[:1] == "#"] == ["# by hand", "# the face", "# why", "# the end"]
    session.edit({"deed": "split", "shot": 1, "at": 6})
    assert "# the face\n[[shot]]\nnumber = 4\n# why\nwalk" in path.read_text()
    session.edit({"deed": "join", "shot": 3})
    assert path.read_text().endswith("# the end\n# the face\n# why\n")
    session.undo()
    session.undo()
    assert path.read_text() == once and read_score(path).shots[0].lock
    session.reload()
    session.edit({"deed": "lock", "shot": 1, "on": False})
    assert path.read_text() == once.replace("lock = true", "lock = false") and not list(show.parent.glob("*.part"))


def test_notes_above_a_cut_list_stay(show: Path) -> None:
    path = show.parent / "cuts.csv"
    first = path.read_text().replace("# rate", "# checked by A: \u00e9\n# rate")
    path.write_text('\ufeff"# a note, of mine",,,\n' + first, encoding="utf-8")
    session = Session(show)
    for by in (1, 1, -2):
        session.edit({"deed": "nudge", "shot": 2, "by": by})
    notes = "# a note, of mine\n# checked by A: \u00e9\n"
    plain = first.replace("# checked by A: \u00e9\n", "")
    assert path.read_text(encoding="utf-8") == plain.replace("shot,start", notes + "shot,start")
    assert read_csv(path).shots == session.work.cuts.shots and not list(show.parent.glob("*.part"))


def test_where_the_second_file_cannot_be_written_the_first_is_put_back(show: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(show)
    first = {p.name: p.read_bytes() for p in session.files}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "cuts.csv.part")

    monkeypatch.setattr("tools.review_session.write_cuts", full)
    with pytest.raises(ShowError, match="No space left on device"):
        session.edit({"deed": "split", "shot": 1, "at": 6})
    assert {p.name: p.read_bytes() for p in session.files} == first and len(session.work.cuts.shots) == 4
    assert not session.history.past and session.changed() == []


def test_where_no_copy_can_be_kept_nothing_is_written(show: Path) -> None:
    (show.parent / "show.review").write_text("in the way")
    session = Session(show)
    with pytest.raises(ShowError, match="nothing was changed"):
        session.edit({"deed": "lock", "shot": 1, "on": True})
    assert not read_score(show.parent / "score.toml").shots[0].lock


def test_only_this_page_on_this_machine_with_its_key_is_answered(server: ReviewServer) -> None:
    port = server.server_port
    assert server.server_address[0] == "127.0.0.1" and ask(server, "/api/state")[0] == 200
    assert ask(server, "/api/state", Host=f"localhost:{port}")[0] == 200
    for headers, status in (({"Host": f"evil.example:{port}"}, 421), ({"Host": "127.0.0.1.evil.example"}, 421),
                            ({"Host": "x"}, 421), ({"Host": f"127.0.0.1@evil.example:{port}"}, 421),
                            ({"X_Cineml_Key": "wrong"}, 403), ({"X_Cineml_Key": ""}, 403), ({"X_Cineml_Key": "\xe9"}, 403),
                            ({"Sec_Fetch_Site": "cross-site"}, 403), ({"Sec_Fetch_Site": "same-site"}, 403)):  # fmt: skip
        assert ask(server, "/api/state", **headers)[0] == status, headers
    assert ask(server, f"/?key={server.key}", X_Cineml_Key="")[0] == 200 and ask(server, "/", X_Cineml_Key="")[0] == 403
    assert ask(server, "/picture/film.jpg?frame=3", X_Cineml_Key="")[0] == 403
    deed = {"version": 1, "deed": "lock", "shot": 1, "on": True}
    for headers, status in (({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"X_Cineml_Key": "x"}, 403),
                            ({"Content_Type": "text/plain"}, 415), ({"Host": "evil.example:80"}, 421)):  # fmt: skip
        assert ask(server, "/api/edit", deed, **headers)[0] == status, headers
    assert server.session.version == 1
    policy = ask(server, f"/?key={server.key}")[2]["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_requests_that_are_too_long_or_no_json_or_nowhere_are_answered_with_a_sentence(server: ReviewServer) -> None:
    for path, body, status in (
            ("/api/edit", b"{" + b" " * MOST_BODY, 413), ("/api/edit", b"{", 400), ("/api/edit", b"[1]", 400),
            ("/api/edit", b"[" * 30000, 400), ("/api/edit", {"deed": "lock"}, 400), ("/api/gone", {"version": 1}, 404),
            ("/api/edit", {"version": 1, "deed": "lock", "shot": 99}, 422), ("/../review.py", None, 404),
            ("/review_page/review.js", None, 404), ("/picture/film.jpg", None, 400), ("/play?shot=1", None, 404),
            ("/picture/film.jpg?frame=-1", None, 400), ("/api/shot?shot=77", None, 422),
            ("/picture/key.jpg?name=none", None, 404), ("/play?shot=1&kind=candidate&id=x", None, 404)):  # fmt: skip
        got, said, _ = ask(server, path, body)
        assert got == status and said["error"], (path, got, said)


def test_pictures_are_those_of_the_very_frame_and_change_only_with_what_they_show(server: ReviewServer) -> None:
    status, content, headers = ask(server, "/picture/film.jpg?frame=13&h=1000")
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and "immutable" in headers["Cache-Control"]
    assert number_in(picture(content)) == 13
    assert number_in(picture(ask(server, "/picture/remake.jpg?frame=33&h=1000")[1])) == 33  # shot 4 plays the film
    before = [s["stamp"] for s in server.session.state()["shots"]]
    old = picture(ask(server, "/picture/remake.jpg?frame=6")[1])
    edit(server, deed="label", shot=1, text="other")
    assert [s["stamp"] for s in server.session.state()["shots"]] == before
    listed = ask(server, "/api/shot?shot=1")[1]["candidates"]
    assert [c["id"] for c in listed] == ["score:s03", "score:s02"] and listed[0]["near"]
    looked = picture(ask(server, "/picture/candidate.jpg?shot=1&id=score:s03&frame=6")[1])
    edit(server, deed="swap", shot=1, candidate="score:s03")
    after = [s["stamp"] for s in server.session.state()["shots"]]
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, True, True, True]
    new = picture(ask(server, "/picture/remake.jpg?frame=6")[1])
    assert np.array_equal(new, looked) and not np.array_equal(new, old)
    assert server.session.work.row(1).extra == {"mood": "grey", "swap": "s03"}
    assert picture(ask(server, "/picture/key.jpg?name=s02.f0012")[1]).ndim == 3


def test_a_shot_plays_all_its_frames_in_order_on_both_sides(server: ReviewServer) -> None:
    for kind in ("film", "remake", "candidate&id=score:s01"):
        status, content, _ = ask(server, f"/play?shot=3&kind={kind}")
        assert status == 200
        frames = []
        while content:
            frame, length = struct.unpack(">II", content[:8])
            shape = picture(content[8:8 + length]).shape
            assert shape[:2] == (server.painter.size[1], server.painter.size[0])
            frames.append(frame)
            content = content[8 + length:]
        assert frames == list(range(20, 32))


def test_a_dissolve_and_a_fade_are_mixed_in_linear_light(show: Path) -> None:
    session = Session(show)
    painter = Painter(session.show)
    work = session.work
    assert work.score is not None
    apart = [to_light(painter.latent(work.score.walks[name].ws_at(21))) for name in ("s02", "s03")]
    mixed = painter.remake(work, 21)  # the second of four frames: 2 / 5
    np.testing.assert_array_equal(mixed, to_bytes(0.6 * apart[0] + 0.4 * apart[1]))
    glides = session.work
    session.edit({"deed": "entry", "shot": 3, "entry": "glide"})
    assert stamp(session.work, 3) != stamp(glides, 3)
    ws = np.float32(0.6) * work.score.walks["s02"].ws_at(21) + np.float32(0.4) * work.score.walks["s03"].ws_at(21)
    difference = painter.remake(session.work, 21).astype(int) - painter.latent(ws.astype(np.float32))
    assert abs(difference).max() <= 1
    session.edit({"deed": "source", "shot": 4, "source": "black"})
    assert not painter.remake(session.work, 36).any()
    assert np.array_equal(to_bytes(to_light(np.arange(256, dtype=np.uint8))), np.arange(256))
    painter.close()


def test_a_show_of_a_film_alone_is_cut_and_labelled(tmp_path: Path) -> None:
    session = Session(write_show(tmp_path, score=False))
    painter = Painter(session.show)
    assert painter.why_no_remake == "the show names no generator" and number_in(painter.film(7)) == 7
    session.edit({"deed": "split", "shot": 1, "at": 5})
    assert [s.start for s in read_csv(tmp_path / "cuts.csv").shots] == [0, 5, 12, 20, 32]
    assert session.details(1)["keys"] == [] and session.details(1)["candidates"] == []
    assert sorted(p.name for p in (tmp_path / "show.review" / "first").iterdir()) == ["cuts.csv"]


def test_another_generator_than_the_scores_is_said_and_the_cuts_can_still_be_edited(show: Path) -> None:
    text = (show.parent / "score.toml").read_text()
    (show.parent / "score.toml").write_text(text.replace('generator_sha256 = "', 'generator_sha256 = "00'))
    session = Session(show)
    painter = Painter(session.show)
    assert "another generator" in painter.why_no_remake
    session.edit({"deed": "nudge", "shot": 2, "by": 1})
    with pytest.raises(ShowError, match="another generator"):
        painter.remake(session.work, 0)


def test_a_mistake_that_leaves_film_cuts_and_score_whole_is_told_and_a_deed_can_mend_it(show: Path) -> None:
    cuts = show.parent / "cuts.csv"
    cuts.write_text(cuts.read_text().replace("2,12,20", "2,11,20").replace("1,0,12", "1,0,11"))
    session = Session(show)
    assert len(session.problems) == 1 and "frames 11 to 19" in session.problems[0]
    session.edit({"deed": "nudge", "shot": 2, "by": -1})
    assert session.problems == []


def test_bad_input_costs_one_sentence_and_nothing_is_written(show: Path, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    before = sorted(p.name for p in show.parent.iterdir())
    cuts = (show.parent / "cuts.csv").read_text()
    cases = {"": "cannot be read", "cuts": "cuts", "frames": "the film has 40", "score": "is not TOML", "film": "is missing"}
    for what, sentence in cases.items():
        (show.parent / "cuts.csv").write_text(cuts)
        path, text = show, show.read_text()
        if what == "":
            path = tmp_path / "gone.toml"
        elif what == "cuts":
            show.write_text(text.replace('cuts = "cuts.csv"', ""))
        elif what == "frames":
            (show.parent / "cuts.csv").write_text(cuts.replace("# frames: 40", "# frames: 41").replace("4,32,40", "4,32,41"))
        elif what == "score":
            (show.parent / "score.toml").write_text("[[")
        else:
            show.write_text(text.replace("film.mp4", "gone.mp4"))
        assert main([str(path), "--no-browser"]) == 2
        assert sentence in capsys.readouterr().err, what
        show.write_text(text)
        if what == "score":
            write_show(show.parent)
    assert sorted(p.name for p in show.parent.iterdir()) == before
    assert main([str(show), "--no-browser", "--height", "5"]) == 2


def test_a_port_is_one_that_anybody_may_listen_on(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for bad in ("1023", "80", "65536", "-1", "x"):
        with pytest.raises(SystemExit, match="2"):
            main([str(show), "--port", bad])
        assert "1024 to 65535" in capsys.readouterr().err
    assert [port(good) for good in ("0", "1024", "65535")] == [0, 1024, 65535]


def test_a_port_that_is_taken_is_said(server: ReviewServer, show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(show), "--no-browser", "--port", str(server.server_port)]) == 2
    assert "cannot be listened on" in capsys.readouterr().err


def test_pictures_in_memory_stay_under_their_bound() -> None:
    kept = Kept(1000)
    for i in range(50):
        content = bytes([i]) * 100
        assert kept.get(str(i), partial(bytes, content)) == content
    assert kept._bytes == 1000 and list(kept._by_name) == [str(i) for i in range(40, 50)]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT of one process is POSIX")
def test_ctrl_c_ends_it_well(show: Path, repo: Path) -> None:
    command = [sys.executable, "-m", "tools.review", str(show), "--no-browser"]
    process = subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "4 shots at http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and not errors

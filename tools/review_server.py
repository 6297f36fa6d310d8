"""The review's page and its requests, for this machine alone.

Only 127.0.0.1 is listened on. A request must name this machine as its host (a page elsewhere that rebinds its own name does
not), come from this page (Origin, Sec-Fetch-Site), and hold the key that only the address printed in the terminal tells.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import struct
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from player.show.problem import Problem, ShowError
from player.show.walk import Walk
from tools.review_pictures import Painter, jpeg, sequence, stamp, walk_stamp
from tools.review_session import Changed, Session, Stale
from tools.review_walks import brought_to, last_seen

log = logging.getLogger("cineml")

HOSTS = ("127.0.0.1", "localhost")
MOST_BODY = 64 << 10  # bytes of a request
MOST_PLAYED = 480  # pictures of a shot that is played; of longer ones every second, third ...
PAGE = {"/": ("index.html", "text/html; charset=utf-8"), "/review.css": ("review.css", "text/css; charset=utf-8")}
SCRIPTS = ("review.js", "ask.js", "player.js", "timeline.js", "inspector.js")
PAGE |= {f"/{name}": (name, "text/javascript; charset=utf-8") for name in SCRIPTS}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")  # fmt: skip
ALWAYS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
          "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"}  # fmt: skip


class Refused(Exception):
    """A request that is answered with a status and one sentence."""

    def __init__(self, status: HTTPStatus, sentence: str):
        self.status, self.sentence = status, sentence
        super().__init__(sentence)


class ReviewServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 as soon as it is made. Raises ShowError where the port is taken."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, session: Session, painter: Painter, port: int = 0, key: str = "") -> None:
        self.session, self.painter = session, painter
        self.key = key or secrets.token_urlsafe(24)
        folder = resources.files("tools") / "review_page"
        self.page = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}
        try:
            super().__init__((HOSTS[0], port), _Handler)
        except OSError as e:
            raise ShowError(Problem(f"--port {port}", f"cannot be listened on ({e.strerror})", "a port that is free",
                                    "--port 0 takes any")) from None

    @property
    def address(self) -> str:
        """What a browser is given."""
        return f"http://{HOSTS[0]}:{self.server_port}/?key={self.key}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is nothing to speak of; anything else is told to the log."""
        log.debug("review: a request ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "cineml", ""
    timeout = 60
    server: ReviewServer
    _streaming = False

    def log_message(self, format: str, *args: object) -> None:
        log.debug("review: " + format, *args)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, reply: Callable[[], None]) -> None:
        """reply(), with everything that can go wrong as a status and JSON of one sentence."""
        try:
            self._check()
            reply()
        except Refused as e:
            self._fail(e.status, e.sentence)
        except Changed as e:
            self._fail(HTTPStatus.CONFLICT, f"{' and '.join(e.names)} changed on disk meanwhile; nothing was written", e.names)
        except Stale:
            self._fail(HTTPStatus.PRECONDITION_FAILED, "this window shows an older state; look again")
        except ShowError as e:
            self._fail(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(map(str, e.problems)))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as e:  # a film that cannot be decoded somewhere, a model that fails: the page goes on
            log.warning("review: %s: %s", self.path.partition("?")[0], e, exc_info=log.isEnabledFor(logging.DEBUG))
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(e).__name__}: {e}")

    def _check(self) -> None:
        """Who asks. Raises Refused."""
        host = self.headers.get("Host", "")
        if host.rpartition(":")[0] not in HOSTS:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this page is for this machine alone")
        path, given = urlsplit(self.path).path, self._query("key") or self.headers.get("X-Cineml-Key", "")
        if path in PAGE and path != "/":
            return  # nothing in them that is the show's
        if not hmac.compare_digest(given.encode(), self.server.key.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "open the address that cineml review has printed, with its key")
        if path == "/":
            return
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refused(HTTPStatus.FORBIDDEN, "another page asks")
        if self.headers.get("Origin", f"http://{host}") != f"http://{host}":
            raise Refused(HTTPStatus.FORBIDDEN, "another page asks")

    def _query(self, name: str) -> str:
        values = parse_qs(urlsplit(self.path).query).get(name, [""])
        return values[0]

    def _number(self, name: str, default: int | None = None) -> int:
        text = self._query(name)
        if not text and default is not None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is not a whole number")
        return int(text)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, keep: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self._headers(keep)
        self.wfile.write(body)

    def _headers(self, keep: bool) -> None:
        self.send_header("Cache-Control", "private, max-age=86400, immutable" if keep else "no-store")
        for name, value in ALWAYS.items():
            self.send_header(name, value)
        self.end_headers()

    def _json(self, data: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(data).encode(), "application/json", status)

    def _fail(self, status: HTTPStatus, sentence: str, changed: list[str] | None = None) -> None:
        self.close_connection = True  # a body may stand unread on it
        if not self._streaming:
            self._json({"error": sentence, "changed": changed or []}, status)

    def _get(self) -> None:
        path, session = urlsplit(self.path).path, self.server.session
        if path in self.server.page:
            self._send(*self.server.page[path])
        elif path == "/api/state":
            self._json(self._state())
        elif path == "/api/changed":
            self._json({"version": session.version, "changed": session.changed()})
        elif path == "/api/shot":
            self._json(session.details(self._number("shot")))
        elif path.startswith("/picture/"):
            self._send(self._picture(path.removeprefix("/picture/")), "image/jpeg", keep=True)
        elif path == "/play":
            self._play()
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "nothing stands here")

    def _state(self) -> dict[str, Any]:
        painter = self.server.painter
        return {**self.server.session.state(), "why_no_remake": painter.why_no_remake, "size": painter.size}

    def _post(self) -> None:
        session, path, asked = self.server.session, urlsplit(self.path).path, self._body()
        version = asked.get("version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise Refused(HTTPStatus.BAD_REQUEST, "version is not a whole number")
        if path == "/api/edit":
            session.edit(asked, version)
        elif path == "/api/undo":
            session.undo(version)
        elif path == "/api/redo":
            session.redo(version)
        elif path == "/api/reload":
            session.reload()
        elif path == "/api/overwrite":
            session.overwrite()
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "nothing stands here")
        self._json(self._state())

    def _body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises Refused."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "how long it is was not said")
        if len(length) > 9 or int(length) > MOST_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BODY} bytes")
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "application/json is read here")
        try:
            given = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "that is no JSON") from None
        if not isinstance(given, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "that is no JSON object")
        return given

    def _frame(self) -> int:
        return min(self._number("frame"), self.server.session.work.cuts.frames - 1)

    def _picture(self, what: str) -> bytes:
        """One JPEG. Raises Refused and ShowError."""
        painter, height = self.server.painter, min(self._number("h", 96), 1080)
        if what == "film.jpg":
            return self._film(self._frame(), height)
        if what == "remake.jpg":
            return self._remake(self._frame(), height)
        if what == "key.jpg":
            name, work = self._query("name"), self.server.session.work
            ws = work.score.key(name) if work.score is not None else None
            if ws is None:
                raise Refused(HTTPStatus.NOT_FOUND, "no key latent of that name")
            return painter.kept.get(f"key {hash(ws.tobytes())} {height}", lambda: jpeg(painter.latent(ws), height))
        if what == "candidate.jpg":
            walk, first, last = self._candidate()
            return self._walk(walk, min(max(self._number("frame"), first), last), height)
        raise Refused(HTTPStatus.NOT_FOUND, "no such picture")

    def _film(self, frame: int, height: int, playing: bool = False) -> bytes:
        painter = self.server.painter
        return painter.kept.get(f"film {frame} {height}", lambda: jpeg(painter.film(frame, playing), height))

    def _remake(self, frame: int, height: int, playing: bool = False) -> bytes:
        painter, work = self.server.painter, self.server.session.work
        name = f"remake {stamp(work, work.cuts.shot_at(frame).number)} {frame} {height}"
        return painter.kept.get(name, lambda: jpeg(painter.remake(work, frame, playing), height))

    def _walk(self, walk: Walk, frame: int, height: int) -> bytes:
        painter = self.server.painter
        return painter.kept.get(f"walk {walk_stamp(walk)} {frame} {height}",
                                lambda: jpeg(painter.latent(walk.ws_at(frame)), height))  # fmt: skip

    def _candidate(self) -> tuple[Walk, int, int]:
        """(the walk as the shot would play it, its first and last frame). Raises Refused."""
        session, number = self.server.session, self._number("shot")
        found, shot = session.candidate(number, self._query("id")), session.work.cuts.by_number(number)
        if found is None or shot is None:
            raise Refused(HTTPStatus.NOT_FOUND, "no such candidate")
        return brought_to(found.walk, found.walk.name, shot.start, last_seen(session.work.cuts, shot)), shot.start, shot.end - 1

    def _play(self) -> None:
        """A shot's pictures one after another as they are made: frame number and length, 4 bytes each, big-endian, then a
        JPEG. What an older request left unread ends with its connection."""
        work, number, kind = self.server.session.work, self._number("shot"), self._query("kind")
        shot, height = work.cuts.by_number(number), self.server.painter.size[1]
        if shot is None or kind not in ("film", "remake", "candidate"):
            raise Refused(HTTPStatus.NOT_FOUND, "no such shot")
        if kind != "film" and self.server.painter.why_no_remake and kind == "candidate":
            raise Refused(HTTPStatus.NOT_FOUND, self.server.painter.why_no_remake)
        walk = self._candidate()[0] if kind == "candidate" else None

        def pictures() -> Iterator[tuple[int, bytes]]:
            for frame in sequence(shot.start, shot.end, MOST_PLAYED):
                if walk is not None:
                    yield frame, self._walk(walk, frame, height)
                elif kind == "film":
                    yield frame, self._film(frame, height, True)
                else:
                    yield frame, self._remake(frame, height, True)

        made = pictures()
        first = next(made)  # what cannot be made at all is still answered with a sentence
        self._streaming = True  # a fault from here on can only end the connection
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self._headers(False)
        self._chunk(*first)
        for frame, picture in made:
            self._chunk(frame, picture)
        self.wfile.write(b"0\r\n\r\n")
        self._streaming = False

    def _chunk(self, frame: int, picture: bytes) -> None:
        body = struct.pack(">II", frame, len(picture)) + picture
        self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")

"""`cineml review SHOW`: a page on this machine in which a show's cut list and score are corrected by eye."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Sequence

from player.show.problem import Problem, ShowError
from tools.review_options import arguments
from tools.review_pictures import Painter
from tools.review_server import ReviewServer
from tools.review_session import Session


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0 also when ended by Ctrl-C, which is how it ends; 2 for bad input."""
    args = arguments().parse_args(argv)
    try:
        if not 90 <= args.height <= 1080:
            raise ShowError(Problem("--height", f"is {args.height}", "90 to 1080 px"))
        session = Session(args.show)
        painter = Painter(session.show, args.height)
        server = ReviewServer(session, painter, args.port)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    try:
        for problem in session.problems:
            print(f"to mend: {problem}", file=sys.stderr)
        if painter.why_no_remake:
            print(f"the film alone is shown: {painter.why_no_remake}", file=sys.stderr)
        print(f"{session.show.name}: {len(session.work.cuts.shots)} shots at {server.address}\nCtrl-C ends it.", flush=True)
        if not args.no_browser:
            # Some browsers answer only when they are closed.
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

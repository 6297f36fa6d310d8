"""Offline deeds, one a file; they write files whose formats player.show defines. `cli.py` is the `cineml` command."""

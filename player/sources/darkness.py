"""What nothing can be seen in: black frames and the ends of fades, which are never painted. On stage and in `cineml style`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
UNSEEN, SEEN = 0.03, 0.12  # brightest luminance of a picture in which nothing can be seen; from where on it is painted in full
BRIGHTEST = 99.5  # percentile


def seen_share(picture: Pixels) -> float:
    """How far anything can be seen in a picture uint8 [H, W, 3], 0..1: by the luminance (0..1, of the sRGB values) of its
    brightest pixels, each second one of each second row."""
    some = picture[::2, ::2]
    # Green alone makes most pictures bright enough, and asking it costs a tenth of a percentile.
    if np.count_nonzero(some[:, :, 1] * LUMA[1] >= 255 * SEEN) > (1 - BRIGHTEST / 100) * some[:, :, 1].size + 1:
        return 1.0
    bright = float(np.percentile(some.astype(np.float32) @ (LUMA / 255), BRIGHTEST))
    share = min(1.0, max(0.0, (bright - UNSEEN) / (SEEN - UNSEEN)))
    return share * share * (3 - 2 * share)


def unpainted(made: Pixels, picture: Pixels) -> Pixels:
    """What was made of a picture, both uint8 [H, W, 3]; the picture stays itself as far as nothing can be seen in it."""
    share = seen_share(picture)
    if share >= 1:
        return made
    return np.asarray(np.rint(picture + share * (made.astype(np.float32) - picture)), np.uint8)

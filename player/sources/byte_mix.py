"""One 8-bit picture laid over another by a weight for each pixel, in whole numbers: quick, and the same everywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from player.sources.frame import Pixels

Mask = npt.NDArray[np.uint8]


def laid_over(top: Pixels, bottom: Pixels, mask: Mask, amount: float = 1.0) -> Pixels:
    """uint8 [H, W, 3]: top where the mask [H, W] is 255, bottom where it is 0, between by its value in coded light (edges of a
    mask are a few pixels wide). amount 0..1: how much the mask counts; at 0 all is top."""
    of_top = mask.astype(np.uint16) + (mask >> 7)  # 0..256
    if amount < 1:
        of_top = np.rint(256 - amount * (256 - of_top.astype(np.float32))).astype(np.uint16)
    of_top = of_top[:, :, None]  # [H, W, 1]
    mixed = top * of_top  # uint16: 255 * 256 fits
    mixed += bottom * (256 - of_top)
    mixed += 128
    mixed >>= 8
    return mixed.astype(np.uint8)

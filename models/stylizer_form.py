"""Which way forms run in a picture, as a few shares that steer a stylizer's strokes: structure tensors in several windows.

Sources: Foerstner and Guelch 1987 for the structure tensor; Granlund 1978 for double angles, by which a line and the same line
turned by 180 degrees are alike; Freeman and Adelson 1991, "The Design and Use of Steerable Filters", for a picture of any
direction as a mixture of pictures of a few. The windows are those by which the optimiser leads its strokes
(tools/paint_guides.py), at a quarter of the size and of box filters, so that strokes run here as they run there.

Nothing here is learnt. Grain has no direction and cancels in the wide windows. In the narrow ones it has one by chance, so what
is weaker than strong grain (8 levels of 255) counts less: on flat ground strokes are level, and lie still whatever the grain.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS = 6  # that strokes are kept in; between two of them both show
WINDOWS = (3, 5, 11, 21)  # cells, box after box, so that they grow smooth: forms are felt 80 px away, as far as tiles allow
NEAR = 0.6  # what a window counts beside the one before it
FLOOR = 5e-4  # of squared gradients, 0..1 a cell: below is noise (lower, and grain turns strokes: tests/test_stylizer.py)
LEVEL = 0.05  # how much all have of the first direction: on an even wall, strokes are level, whatever its grain
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def shares_of(luma: Tensor) -> Tensor:
    """luma float32 [N, 1, h, w] 0..1, the means of cells of 4x4 pixels -> [N, DIRECTIONS, h, w]: how much each direction, k / 6
    of half a turn from the horizontal towards below, shows there: 0..1, not negative, squares that sum to 1."""
    across = luma.new_tensor(SOBEL)[None, None] / 8  # [1, 1, 3, 3]
    smooth = box(luma, 3)
    ground = F.pad(smooth, (1, 1, 1, 1), mode="replicate")  # [N, 1, h + 2, w + 2]
    gx, gy = F.conv2d(ground, across), F.conv2d(ground, across.transpose(2, 3))  # [N, 1, h, w]
    moments = torch.cat([gx * gx - gy * gy, 2 * gx * gy, gx * gx + gy * gy], dim=1)  # [N, 3, h, w]
    total = torch.zeros_like(moments[:, :2])
    for step, window in enumerate(WINDOWS):
        moments = box(moments, window)
        # How far its gradients agree, not how strong they are: else one hard edge would turn all strokes around it.
        total = total + NEAR**step * moments[:, :2] / (moments[:, 2:] + FLOOR)
    # A form runs across its gradient: the double angle turns by 180 degrees.
    double = torch.cat([LEVEL - total[:, :1], -total[:, 1:]], dim=1)  # [N, 2, h, w]
    double = double / (double.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()
    turns = torch.arange(DIRECTIONS, device=luma.device, dtype=luma.dtype) * (2 * math.pi / DIRECTIONS)
    known = torch.stack([turns.cos(), turns.sin()], dim=1)[:, :, None, None]  # [K, 2, 1, 1]
    nearest = math.cos(2 * math.pi / DIRECTIONS)  # a direction shows from its neighbour on
    shares = F.relu(F.conv2d(double, known) - nearest)  # [N, K, h, w]
    return shares / (shares.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()


def box(planes: Tensor, side: int) -> Tensor:
    """The mean over a window of side x side, at the border over what there is of it. [N, C, h, w]."""
    half = side // 2
    planes = F.avg_pool2d(planes, (1, side), 1, (0, half), count_include_pad=False)
    return F.avg_pool2d(planes, (side, 1), 1, (half, 0), count_include_pad=False)

"""The black bars of a film: letterbox, pillarbox or both, found from some of its frames.

A bar is dark in every frame and ends in a straight edge, which tells it from a dark shot, a vignette or a title card:
those darken gradually, or are lit only where letters are. Where in doubt nothing is cut off: a bar that stays costs a
little resolution, picture that goes is lost.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BRIGHTEST_BAR = 48  # bars of washed-out transfers reach 40; a brighter border is picture
MOST_NOISE = 12  # levels from a bar's median to its 99th percentile: more is a dark picture's grain
LEAST_DARK = 10  # levels that a bar may be above the darkest that the film shows: more is a night sky
LIT_ABOVE = 8, 18  # levels above the bar that are light, at least and at most; in between as noisy as the bar is
BRIGHT_ABOVE = 40  # a frame tells something where some of it is brighter than the bars by this much
BRIGHT_SHARE = 0.02  # of its pixels
OFTEN = 0.02  # a pixel that is lit in fewer of the frames is a spark, a splice or dirt
ENDS = 0.15  # a line is judged by its two ends, so much each: subtitles and titles stand in its middle
PICTURE, NOTHING = 0.3, 0.1  # so much of the inner lines' light is picture, and so much at most is a bar; in between is edge
DARK_ABOVE = 6  # levels, mean of a bar above the darkest border: a night sky is brighter
MOST_STRAY = 0.25  # lit in the ends of a bar's line, at most: a channel's logo in a corner
EDGE_PX = 3  # a straight edge that was scaled or coded is blurred over so many lines
LEAST_LEFT = 0.2  # of height and width; what leaves less is not a bar


def bars_of(lumas: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The picture without its black bars, (x, y, w, h) in pixels; (0, 0, W, H) where there are none, or none for sure.

    lumas: uint8 [N, H, W], some frames spread over the film, full or limited range; a dozen will do, more are safer. A film
    that shows something where others of its shots have bars keeps it. Raises ValueError for an empty or misshapen array.
    """
    if lumas.ndim != 3 or 0 in lumas.shape:
        raise ValueError(f"lumas are {lumas.shape}, not [N, H, W]")
    height, width = lumas.shape[1:]
    x0, y0, x1, y1 = 0, 0, width, height
    lit, mean = lit_map(lumas)
    if lit is None:
        return 0, 0, width, height
    for _ in range(2):  # the second time without the bars beside it: each pair of bars shortens the other's lines
        part, light = lit[y0:y1, x0:x1], mean[y0:y1, x0:x1]
        top, bottom = margins(part, light)
        left, right = margins(part.T, light.T)
        x0, y0, x1, y1 = x0 + left, y0 + top, x1 - right, y1 - bottom
    if x1 - x0 < LEAST_LEFT * width or y1 - y0 < LEAST_LEFT * height:
        return 0, 0, width, height
    return x0, y0, x1 - x0, y1 - y0


def lit_map(lumas: NDArray[np.uint8]) -> tuple[NDArray[np.bool_] | None, NDArray[np.float32]]:
    """(where there is picture, bool [H, W]; mean level above the bars' black, float32 [H, W]), over the frames that are
    bright enough to tell. None where none is, or where no side is dark enough for a bar."""
    borders = lumas[:, 0], lumas[:, -1], lumas[:, :, 0], lumas[:, :, -1]  # a bar may be a single line
    darkest = min(borders, key=lambda border: float(np.median(border)))
    black = float(np.median(darkest))
    noise = float(np.percentile(darkest, 99)) - black
    light = black + float(np.clip(noise + 4, *LIT_ABOVE))
    empty = np.zeros(lumas.shape[1:], np.float32)
    floor = float(np.percentile(lumas[:, ::4, ::4], 1))
    if black > min(BRIGHTEST_BAR, floor + LEAST_DARK) or noise > MOST_NOISE:
        return None, empty
    count, total, telling = np.zeros(lumas.shape[1:], np.int32), empty, 0
    for luma in lumas:  # one at a time: all of a 4K film's frames at once would not fit
        if (luma > black + BRIGHT_ABOVE).mean() < BRIGHT_SHARE:
            continue
        telling += 1
        count += luma > light
        total += np.maximum(luma.astype(np.float32) - np.float32(black), 0)
    if telling == 0:
        return None, empty
    least = max(math.ceil(OFTEN * telling), 2 if telling >= 6 else 1)
    return count >= least, total / np.float32(telling)


def margins(lit: NDArray[np.bool_], mean: NDArray[np.float32]) -> tuple[int, int]:
    """How many lines at the top and at the bottom of lit [h, w] are bars. mean: float32 [h, w], level above black."""
    columns = np.flatnonzero(lit.mean(axis=0) > 0.05)  # without the bars at the sides
    if len(columns) < 4:
        return 0, 0
    end = max(1, round(ENDS * len(columns)))
    ends = np.concatenate([columns[:end], columns[-end:]])
    score = lit[:, ends].mean(axis=1)  # [h], of each line's ends, how much is lit
    rows = mean[:, ends].mean(axis=1)  # [h]
    return margin(score, rows), margin(score[::-1], rows[::-1])


def margin(score: NDArray[np.float64], rows: NDArray[np.float32]) -> int:
    """How many lines at the beginning are a bar: dark up to a straight edge, where picture begins in the whole line."""
    inner = float(np.median(score[len(score) // 4 : len(score) - len(score) // 4]))
    if inner < 0.5:
        return 0  # the picture's own ends are dark: an edge could not be told from it
    edge = int(np.argmax(score >= PICTURE * inner))
    if edge == 0:
        return 0
    outer = slice(0, max(edge - EDGE_PX, 1))
    if score[outer].max() > MOST_STRAY or score[outer].mean() > MOST_STRAY / 2 or rows[outer].mean() > DARK_ABOVE:
        return 0  # not so dark
    if score[max(edge - EDGE_PX, 0)] > NOTHING * inner:
        return 0  # it dims slowly: a vignette
    for _ in range(EDGE_PX + 1):  # lines that are half bar: scaled, coded, or the soft edge of a film gate
        after = rows[edge + 2 : edge + 5]
        if len(after) and rows[edge] < 0.6 * float(after.mean()):
            edge += 1
    return edge

"""The test card as a source: what a technician needs to line up a projector and to hear whether sound and picture agree.

Drawn, not read from a file: it works with no model, film or sound. Its flash lies on the clicks of the soundtrack that
player.soundtrack makes for a show without one: both fall on the start of each film second.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from player.show.film import format_timecode
from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.frame import Frame, Pixels
from player.state import FRAME_TOLERANCE

FLASH_FRAMES = 2
KEPT_LABELS = 32
PAPER, GRID, LINE, INK, BOX, RING = 58, 78, 225, 245, 12, 30  # grey levels of the card, 0..255
_CHARACTERS = "0123456789:-"


def flashes(frame: int, rate: Fraction) -> bool:
    """Whether the flash is on: the first two film frames that begin at or after each whole second."""
    second_start = math.ceil(math.floor(frame / rate) * rate)
    if frame < second_start:  # at 23.976 a second may begin inside the frame before
        return False
    return frame - second_start < FLASH_FRAMES


def _unit(width: int, height: int) -> float:
    """What the card is measured in: the height, or less where the film is narrow, so that the circle has room."""
    return min(height, width * 0.9)


def flash_box(width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels of the field that flashes white, half-open; right in the middle."""
    u = _unit(width, height)
    half_w, half_h = round(0.30 * u), round(0.15 * u)
    return (width // 2 - half_w, height // 2 - half_h, width // 2 + half_w, height // 2 + half_h)


def _font(size: float) -> Any:
    return ImageFont.load_default(max(8, round(size)))


def _text(words: str, width: int, height: int, size: float, ink: int, paper: int) -> npt.NDArray[np.uint8]:
    """One centred line as [height, width, 1], made smaller until it fits."""
    image = Image.new("L", (width, height), paper)
    font = _font(size)
    while size > 8 and font.getlength(words) > width:
        size *= 0.9
        font = _font(size)
    ImageDraw.Draw(image).text((width / 2, height / 2), words, ink, font, anchor="mm")
    return np.asarray(image)[:, :, None]


class Glyphs:
    """Digits of one size in cells of one width (marks in narrower ones), so that a running timecode does not tremble."""

    def __init__(self, size: float, ink: int, paper: int) -> None:
        font = _font(size)
        wide = max(math.ceil(font.getlength(c)) for c in "0123456789") + 1
        self._cells = {c: _text(c, wide if c.isdigit() else round(wide * 0.55), round(size * 1.1), size, ink, paper)
                       for c in _CHARACTERS}  # fmt: skip

    def line(self, words: str) -> npt.NDArray[np.uint8]:
        """[height, width, 1]"""
        return np.concatenate([self._cells[c] for c in words], axis=1)


def draw_card(width: int, height: int, name: str) -> npt.NDArray[np.uint8]:
    """All of the card that does not move, [height, width] uint8: grid, frame border, corner marks, circle, grey steps,
    line gratings."""
    image = Image.new("L", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    u, thin, cx, cy = _unit(width, height), max(1, round(height / 360)), width / 2, height / 2
    step = height / 12
    for i in range(-math.ceil(cx / step), math.ceil(cx / step) + 1):
        pen.line([(cx + i * step, 0), (cx + i * step, height)], GRID, thin)
    for i in range(-6, 7):
        pen.line([(0, cy + i * step), (width, cy + i * step)], GRID, thin)
    _draw_gratings(pen, width, height, thin)
    _draw_border(pen, width, height, thin)
    radius = 0.46 * u
    pen.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], PAPER - 22, LINE, 2 * thin)
    inside = 0.395 * u
    pen.ellipse([cx - inside, cy - inside, cx + inside, cy + inside], PAPER - 22, LINE, thin)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):  # cross hair up to the middle box
        pen.line([(cx + dx * inside * 0.93, cy + dy * inside * 0.93), (cx + dx * radius, cy + dy * radius)], LINE, thin)
    left, _, right, bottom = flash_box(width, height)
    top, steps = round(bottom + 0.025 * u), 11
    inset = round(0.03 * u)
    edges = np.linspace(left + inset, right - inset, steps + 1).round().astype(int)
    for i in range(steps):
        pen.rectangle([edges[i], top, edges[i + 1] - 1, round(top + 0.07 * u)], round(255 * i / (steps - 1)))
    pen.rectangle([left + inset - thin, top - thin, right - inset + thin - 1, round(top + 0.07 * u) + thin], None, LINE, thin)
    card = np.array(image)
    words = _text(name, round(inside * 1.0), round(0.06 * u), 0.045 * u, LINE, PAPER - 22)[:, :, 0]
    y, x = round(top + 0.09 * u), width // 2 - words.shape[1] // 2
    card[y : y + words.shape[0], x : x + words.shape[1]] = words
    return card


def _draw_border(pen: Any, width: int, height: int, thin: int) -> None:
    """The outermost pixels, arrows that touch each edge, and the corners of the middle 90 %."""
    pen.rectangle([0, 0, width - 1, height - 1], None, 255, thin)
    tip = height * 0.035
    middle_x, middle_y = width / 2, height / 2
    for x, y, dx, dy in ((middle_x, 0, 0, 1), (middle_x, height - 1, 0, -1), (0, middle_y, 1, 0), (width - 1, middle_y, -1, 0)):
        pen.polygon([(x, y), (x + dx * tip - dy * tip / 2, y + dy * tip - dx * tip / 2),
                     (x + dx * tip + dy * tip / 2, y + dy * tip + dx * tip / 2)], 255)  # fmt: skip
    arm = height * 0.06
    for x, sx in ((width * 0.05, 1), (width * 0.95, -1)):
        for y, sy in ((height * 0.05, 1), (height * 0.95, -1)):
            pen.line([(x, y), (x + sx * arm, y)], LINE, 2 * thin)
            pen.line([(x, y), (x, y + sy * arm)], LINE, 2 * thin)


def _draw_gratings(pen: Any, width: int, height: int, thin: int) -> None:
    """Lines of 1, 2, 3 and 4 pixels, upright on the left and level on the right: what a scaler or a lens loses first."""
    side = height * 0.11
    free = width / 2 - 0.46 * _unit(width, height)
    if free < side * 1.5:
        return  # a narrow film has no room beside the circle
    for i in range(4):
        top = height / 2 + (i - 2) * side + side * 0.05
        for centre, upright in ((free * 0.5, True), (width - free * 0.5, False)):
            left, size = centre - side / 2, side * 0.9
            pen.rectangle([left, top, left + size, top + size], 0)
            for k in range(0, int(size), 2 * (i + 1)):
                a = round(left if upright else top) + k
                if upright:
                    pen.rectangle([a, top, min(a + i, left + size), top + size], 255)
                else:
                    pen.rectangle([left, a, left + size, min(a + i, top + size)], 255)


class TestCardSource:
    """A card of the film's size: timecode, frame, shot and its label, a ring that fills once a second, a white flash."""

    __test__ = False  # its name begins as pytest's own classes do
    name = "testcard"

    def __init__(self, show: Show) -> None:
        self._show = show
        self._width, self._height = show.film.width, show.film.height
        self._u = _unit(self._width, self._height)
        self._labels: OrderedDict[int, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = OrderedDict()
        self._card: Pixels = np.empty((0, 0, 3), np.uint8)

    def open(self) -> None:
        """Draws all that stands still."""
        width, height, u = self._width, self._height, self._u
        self._card = np.repeat(draw_card(width, height, self._show.name)[:, :, None], 3, axis=2)
        self._box = flash_box(width, height)
        self._timecode = [Glyphs(0.1 * u, *colours) for colours in ((INK, BOX), (0, 255))]
        self._number = [Glyphs(0.062 * u, *colours) for colours in ((LINE, BOX), (60, 255))]
        y, x = np.mgrid[0:height, 0:width]
        dy, dx = y - (height - 1) / 2, x - (width - 1) / 2
        radius = np.hypot(dy, dx)
        ring = np.flatnonzero((radius > 0.405 * u) & (radius < 0.45 * u))
        turn = (np.arctan2(dx, -dy).ravel()[ring] / (2 * np.pi)) % 1.0  # clockwise from the top, 0..1
        order = np.argsort(turn, kind="stable")
        self._ring, self._turn = ring[order], turn[order]
        flat = self._card.reshape(-1, 3)
        flat[self._ring] = np.minimum(flat[self._ring], RING)

    def _label(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """'SHOT 12' and the shot's label, each [h, w, 1], above the box."""
        if number not in self._labels:
            shot = self._show.cuts.by_number(number)
            u = self._u
            words = shot.label if shot is not None and shot.label else " "
            paper = PAPER - 22
            self._labels[number] = (_text(f"SHOT {number}", round(0.44 * u), round(0.1 * u), 0.09 * u, INK, paper),
                                    _text(words, round(0.56 * u), round(0.07 * u), 0.05 * u, LINE, paper))  # fmt: skip
            if len(self._labels) > KEPT_LABELS:
                self._labels.popitem(last=False)
        return self._labels[number]

    def picture(self, frame: int, shot: int) -> Pixels:
        """The card of a film frame, uint8 [H, W, 3], new."""
        rate = self._show.film.rate
        picture = self._card.copy()
        into_second = float(frame / rate) % 1.0
        done = int(np.searchsorted(self._turn, into_second, side="right")) if into_second else 0
        flat = picture.reshape(-1, 3)
        flat[self._ring[:done]] = INK
        flash = flashes(frame, rate)
        left, top, right, bottom = self._box
        picture[top:bottom, left:right] = 255 if flash else BOX
        middle_x, middle_y = self._width // 2, self._height // 2
        timecode = self._timecode[flash].line(format_timecode(frame, rate))
        self._paste(picture, timecode, middle_x, middle_y - round(0.03 * self._u))
        self._paste(picture, self._number[flash].line(f"{frame:06d}"), middle_x, middle_y + round(0.075 * self._u))
        title, label = self._label(shot)
        self._paste(picture, title, middle_x, top - round(0.125 * self._u))
        self._paste(picture, label, middle_x, top - round(0.045 * self._u))
        return picture

    @staticmethod
    def _paste(picture: Pixels, words: npt.NDArray[np.uint8], x: int, y: int) -> None:
        """words centred on (x, y); what lies outside the picture is cut off."""
        height, width = words.shape[:2]
        top, left = max(y - height // 2, 0), max(x - width // 2, 0)
        part = words[: picture.shape[0] - top, : picture.shape[1] - left]
        picture[top : top + part.shape[0], left : left + part.shape[1]] = part

    def make(self, aim: Aim, layer: Layer) -> Frame:
        frame = min(math.floor(layer.film_position + FRAME_TOLERANCE), self._show.film.frames - 1)
        inner = (0.0, 0.0, float(self._width), float(self._height))
        return Frame(self.picture(frame, layer.shot), aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position),
                     self.name, inner)  # fmt: skip

    def close(self) -> None:
        self._labels.clear()

    def facts(self) -> dict[str, Any]:
        return {"provider": None}

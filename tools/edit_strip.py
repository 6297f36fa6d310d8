"""What a direction does, as pictures: a strip (one row a base latent, one column an amount) and a sheet of all strips."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.stylegan2 import Generator
from player.screen.typeface import font_for
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted
from tools.edit_directions import Direction, conditions, moved

STRIP_PX, SHEET_PX = 160, 84  # width of one picture
BATCH_PIXELS = 8 * 256 * 256  # pictures made at once hold about so many pixels
Pixels = NDArray[np.uint8]


def amounts_for(steps: int, reach: float) -> list[float]:
    """`steps` amounts in sigma from -reach to +reach; an odd number has 0 in the middle."""
    return [round(float(a), 4) for a in np.linspace(-reach, reach, steps)]


@torch.no_grad()
def bases_from_seeds(generator: Generator, seeds: Sequence[int], psi: float) -> NDArray[np.float32]:
    """ws float32 [B, num_ws, w_dim]: z from RandomState(seed), as cineml gan sample draws it, truncated by psi."""
    z = np.stack([np.random.RandomState(s).randn(generator.config.z_dim) for s in seeds]).astype(np.float32)
    c = conditions(generator, 0, len(seeds))
    return np.ascontiguousarray(generator.mapping(torch.from_numpy(z), c, psi).numpy())


@torch.no_grad()
def pictures(generator: Generator, ws: NDArray[np.float32], inner: Sequence[int] = ()) -> Pixels:
    """ws float32 [N, num_ws, w_dim] -> uint8 [N, H, W, 3], grey repeated, noise const. inner: [x, y, w, h] kept of it."""
    size = generator.config.resolution
    batch = max(1, BATCH_PIXELS // size**2)
    x, y, w, h = inner or (0, 0, size, size)
    made: list[Pixels] = []
    for at in range(0, len(ws), batch):
        image = generator.synthesis(torch.from_numpy(ws[at : at + batch]))[:, :3]  # [B, 1 or 3, R, R]
        levels = (image * 127.5 + 127.5).round().clamp(0, 255).byte().numpy().transpose(0, 2, 3, 1)  # [B, R, R, 1 or 3]
        made.append(np.repeat(levels, 3 // levels.shape[3], axis=3)[:, y : y + h, x : x + w])
    return np.concatenate(made)


def strip_pictures(
    generator: Generator, bases: NDArray[np.float32], still: Pixels, direction: Direction, amounts: Sequence[float],
    inner: Sequence[int] = (),
) -> Pixels:  # fmt: skip
    """Pictures of one direction, uint8 [B, A, H, W, 3]. bases ws [B, num_ws, w_dim]; still: their own pictures
    [B, H, W, 3], taken for amount 0 so that they are made once for all directions."""
    out = np.empty((len(bases), len(amounts), *still.shape[1:]), np.uint8)
    for column, amount in enumerate(amounts):
        out[:, column] = still if amount == 0 else pictures(generator, moved(bases, direction, amount), inner)
    return out


def shrunk(pixels: Pixels, width_px: int) -> Image.Image:
    """A picture at that width, its shape kept."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture.resize((width_px, max(1, round(width_px * pixels.shape[0] / pixels.shape[1]))), Image.Resampling.LANCZOS)


def title_of(direction: Direction) -> str:
    """What stands over a strip."""
    text = f"{direction.shown}   {direction.method}, layers {direction.first}-{direction.last}, sigma {direction.scale:.3g}"
    if direction.name:
        text += f"   ({direction.id})"
    text += "   amounts in sigma"
    return text + (f"   nearly the same as {direction.same_as}" if direction.same_as else "")


def draw_strip(direction: Direction, strip: Pixels, amounts: Sequence[float], labels: Sequence[str]) -> Image.Image:
    """One direction: title, amounts over the columns, a label at the left of each row. strip uint8 [B, A, H, W, 3]."""
    font = font_for([title_of(direction), *labels], TEXT_PX)
    line_px = TEXT_PX + 5
    width_px = min(STRIP_PX, max(64, strip.shape[3]))
    height_px = max(1, round(width_px * strip.shape[2] / strip.shape[3]))
    label_px = round(max(font.getlength(t) for t in labels)) + 2 * GAP
    sheet = Image.new("RGB", (2 * MARGIN + label_px + len(amounts) * (width_px + GAP),
                              2 * MARGIN + 2 * line_px + len(strip) * (height_px + GAP)), GROUND)  # fmt: skip
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), fitted(title_of(direction), sheet.width - 2 * MARGIN, font), INK, font)
    for column, amount in enumerate(amounts):
        x = MARGIN + label_px + column * (width_px + GAP)
        text = amount_text(amount)
        pen.text((x + (width_px - font.getlength(text)) / 2, MARGIN + line_px), text, FAINT, font)
    for row, pictures_of_base in enumerate(strip):
        top = MARGIN + 2 * line_px + row * (height_px + GAP)
        pen.text((MARGIN, top + (height_px - TEXT_PX) // 2), labels[row], FAINT, font)
        for column, pixels in enumerate(pictures_of_base):
            sheet.paste(shrunk(pixels, width_px), (MARGIN + label_px + column * (width_px + GAP), top))
    return sheet


def amount_text(amount: float) -> str:
    """+1.5, 0; in sigma."""
    return "0" if amount == 0 else f"{amount:+g}"


def draw_sheet(strips: Sequence[tuple[Direction, Pixels]], amounts: Sequence[float]) -> Image.Image:
    """All directions on one picture: of each strip the first base's row [A, H, W, 3], its name at the left; two columns
    where there are more than eight."""
    font = font_for([text for d, _ in strips for text in lines_of(d)], TEXT_PX)
    line_px = TEXT_PX + 5
    height_px = max(1, round(SHEET_PX * strips[0][1].shape[1] / strips[0][1].shape[2]))
    name_px = round(min(220, max(max(font.getlength(lines) for lines in lines_of(d)) for d, _ in strips))) + 2 * GAP
    columns = 1 if len(strips) <= 8 else 2
    rows = -(-len(strips) // columns)
    column_px = name_px + len(amounts) * (SHEET_PX + 2) + MARGIN
    row_px = max(height_px, 2 * line_px) + GAP
    sheet = Image.new("RGB", (MARGIN + columns * column_px, 2 * MARGIN + line_px + rows * row_px), GROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (direction, row) in enumerate(strips):
        column, line = divmod(number, rows)
        x, y = MARGIN + column * column_px, MARGIN + line_px + line * row_px
        for i, text in enumerate(lines_of(direction)):
            ink = INK if i == 0 and not direction.same_as else FAINT
            pen.text((x, y + i * line_px), fitted(text, name_px - GAP, font), ink, font)
        for i, pixels in enumerate(row):
            left = x + name_px + i * (SHEET_PX + 2)
            if line == 0:
                text = amount_text(amounts[i])
                pen.text((left + (SHEET_PX - font.getlength(text)) / 2, MARGIN), text, FAINT, font)
            sheet.paste(shrunk(pixels, SHEET_PX), (left, y))
    return sheet


def lines_of(direction: Direction) -> tuple[str, str]:
    """Name, and below it what it is or what it repeats."""
    if direction.same_as:
        return direction.shown, f"like {direction.same_as}"
    return direction.shown, direction.id if direction.name else f"layers {direction.first}-{direction.last}"


def save_picture(picture: Image.Image, path: Path) -> None:
    """PNG, beside its place first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    picture.save(part, format="PNG")
    os.replace(part, path)

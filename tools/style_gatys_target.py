"""What a picture is to become in a network's eyes: whose content, and the statistics of whose strokes, where.

Several paintings count as one that is made of all of them in proportion to their weights. A painting with a mask counts where
the mask is white; those without where no mask is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.paint_style import LEAST_PX, Painting, scaled
from tools.style_gatys_options import GatysOptions
from tools.style_gatys_tiles import Sight, Tile
from tools.style_losses import directions_for, gram

Pixels = NDArray[np.uint8]
LEAST_SHARE = 1e-4  # of the picture, that a mask must show for its painting to count


@dataclass(frozen=True)
class Style:
    """A painting, how much of it, and where: mask uint8 [H, W] of the content's size, 255 = here; None = wherever no mask
    is."""

    painting: Painting
    weight: float = 1.0
    mask: Pixels | None = None


@dataclass(frozen=True)
class Region:
    """Where certain paintings count, and what their strokes are like.

    where: [1, 1, H, W] 0..1, None for everywhere. share: of the picture. grams: {layer: [C, C]}. clouds: {layer: [Q, C]}.
    weights: {layer: [1, 1, h, w]}, `where` at a layer's places. places: {layer: int64 [P, 2]}, rows and columns of the sample.
    """

    where: Tensor | None
    share: float
    grams: dict[str, Tensor] = field(default_factory=dict)
    clouds: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, Tensor] = field(default_factory=dict)


def tensor_of(picture: Pixels, device: torch.device | None = None) -> Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W] in 0..1."""
    made = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255
    return made.to(device) if device is not None else made


def pixels_of(x: Tensor) -> Pixels:
    """float [1, 3, H, W] -> uint8 [H, W, 3], clipped."""
    return np.asarray((x.detach()[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy(), np.uint8)


def resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """uint8 [H, W] or [H, W, 3] in another size (height, width): means of areas where smaller, else cubic."""
    import cv2

    if picture.shape[:2] == size:
        return picture
    smaller = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=how), picture.dtype)


def shares_of(styles: Sequence[Style], size: tuple[int, int]) -> list[tuple[list[Style], NDArray[np.float32] | None]]:
    """The styles in groups that count in the same places, each with where: float32 [H, W] 0..1, None for everywhere.

    Where masks lie over each other, each has its part. Raises ValueError for no style, a weight below 0, all weights 0, or a
    mask of another size.
    """
    if not styles or any(s.weight < 0 for s in styles) or not any(s.weight > 0 for s in styles):
        raise ValueError("at least one style with a weight above 0, and none below")
    if bad := [s.mask.shape for s in styles if s.mask is not None and s.mask.shape != size]:
        raise ValueError(f"a mask of {bad[0]} for a picture of {size}")
    used = [s for s in styles if s.weight > 0]
    plain = [s for s in used if s.mask is None]
    masked = [s for s in used if s.mask is not None]
    if not masked:
        return [(plain, None)]
    planes = np.stack([np.asarray(s.mask, np.float32) / 255 for s in masked])  # [K, H, W]
    together = planes.sum(axis=0)
    planes = planes / np.maximum(together, 1.0)
    groups: list[tuple[list[Style], NDArray[np.float32] | None]] = [([s], p) for s, p in zip(masked, planes, strict=True)]
    if plain:
        groups.append((plain, np.clip(1 - together, 0, 1).astype(np.float32)))
    return [(members, where) for members, where in groups if where is not None and where.mean() > LEAST_SHARE]


def region_of(members: Sequence[Style], where: NDArray[np.float32] | None, laid_on: tuple[int, int], factor: float,
              sight: Sight, options: GatysOptions, chance: torch.Generator) -> Region:  # fmt: skip
    """The statistics of a group's paintings at the size of `sight`. laid_on, factor: see `laid`. Raises ValueError."""
    plane = None
    if where is not None:
        small = resized((where * 255).round().astype(np.uint8), sight.size).astype(np.float32) / 255
        plane = torch.from_numpy(small)[None, None]
    region = Region(plane, 1.0 if where is None else float(where.mean()))
    total = sum(s.weight for s in members)
    for style in members:
        painting = laid(style.painting, laid_on, factor, options.scale)
        add_painting(region, painting, style.weight / total, sight, options, chance)
    device = sight.perception.device
    for layer in region.grams or region.clouds:
        if plane is not None:
            region.weights[layer] = sight.map_of(plane, layer).to(device)
    return region


def laid(painting: Painting, laid_on: tuple[int, int], factor: float, scale: float) -> Painting:
    """The painting as large as it is laid onto a picture of (height, width), when that is looked at `factor` times as large."""
    whole = scaled(painting, laid_on[0] * laid_on[1], scale)
    if factor >= 1:
        return whole
    height, width = whole.picture.shape[:2]
    small = (max(LEAST_PX, round(height * factor)), max(LEAST_PX, round(width * factor)))
    usable = resized(whole.usable.astype(np.uint8) * 255, small) > 252
    return replace(whole, picture=resized(whole.picture, small), usable=usable if usable.any() else np.ones(small, np.bool_))


def add_painting(region: Region, painting: Painting, weight: float, sight: Sight, options: GatysOptions,
                 chance: torch.Generator) -> None:  # fmt: skip
    """A painting's share of a region's statistics."""
    perception = sight.perception
    layers = options.style_layers or perception.style_layers
    look = Sight(perception, layers, (painting.picture.shape[0], painting.picture.shape[1]), options.tile)
    usable = None if painting.usable.all() else torch.from_numpy(painting.usable.astype(np.float32))[None, None]
    x = tensor_of(painting.picture, perception.device)
    maps = {layer: None if usable is None else look.map_of(usable, layer) for layer in layers}
    with torch.no_grad():
        if options.loss == "gram":
            sums = gram_sums(look, x, {k: None if m is None else m.to(perception.device) for k, m in maps.items()})
            for layer, (total, count) in sums.items():
                mean = total / max(count, 1e-12)
                region.grams[layer] = region.grams.get(layer, torch.zeros_like(mean)) + weight * mean
            return
        count = max(1, round(options.samples * weight))
        places = {layer: drawn_places(look.shape(layer), maps[layer], count, chance) for layer in layers}
        for layer, cloud in sampled(look, x, places).items():
            before = region.clouds.get(layer)
            region.clouds[layer] = cloud if before is None else torch.cat([before, cloud])


def gram_sums(sight: Sight, x: Tensor, weights: dict[str, Tensor | None]) -> dict[str, tuple[Tensor, float]]:
    """{layer: (sum over places of the products of channels [C, C], how many places count)}, tile by tile."""
    found: dict[str, tuple[Tensor, float]] = {}
    for tile, features in sight.all(x):
        for layer, values in features.items():
            if layer not in weights:
                continue
            weight = part_of(sight, weights[layer], layer, tile)
            places = float(values[0, 0].numel() if weight is None else weight.sum())
            product = gram(values, weight)[0] * places
            before = found.get(layer)
            found[layer] = (product, places) if before is None else (before[0] + product, before[1] + places)
    return found


def part_of(sight: Sight, weight: Tensor | None, layer: str, tile: Tile) -> Tensor | None:
    """The tile's part of a weight; None stays None."""
    return None if weight is None else sight.part(weight, layer, tile)


def drawn_places(shape: tuple[int, int], weight: Tensor | None, count: int, chance: torch.Generator) -> Tensor:
    """int64 [P, 2], rows and columns, rising by row: up to `count` different places of a map, only where weight [1, 1, h, w]
    is above one half, as far as there are any; all of them where there are fewer."""
    rows, columns = shape
    allowed = torch.arange(rows * columns)
    if weight is not None and bool((inside := weight[0, 0].flatten().cpu() > 0.5).any()):
        allowed = allowed[inside]
    chosen = allowed[torch.randperm(len(allowed), generator=chance)[:count]].sort().values
    return torch.stack([chosen // columns, chosen % columns], dim=1)


def sampled(sight: Sight, x: Tensor, places: dict[str, Tensor]) -> dict[str, Tensor]:
    """{layer: [P, C]}: the features of x at places, in an order of their own."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in places}
    for tile, features in sight.all(x):
        for layer, at in places.items():
            found[layer].append(taken(sight, features[layer], layer, at, tile))
    return {layer: torch.cat(parts) for layer, parts in found.items()}


def taken(sight: Sight, values: Tensor, layer: str, places: Tensor, tile: Tile) -> Tensor:
    """[P, C]: a tile's values [1, C, h, w] at those of the places that lie in it."""
    s = sight.strides[layer]
    rows, columns = places[:, 0] - tile.top // s, places[:, 1] - tile.left // s
    inside = (rows >= 0) & (rows < values.shape[2]) & (columns >= 0) & (columns < values.shape[3])
    return values[0][:, rows[inside], columns[inside]].T


def new_sample(region: Region, sight: Sight, options: GatysOptions, chance: torch.Generator) -> dict[str, Tensor]:
    """Other places and directions for the sliced Wasserstein loss: changes region.places, returns {layer: [C, D]}."""
    directions = {}
    for layer, cloud in region.clouds.items():
        region.places[layer] = drawn_places(sight.shape(layer), region.weights.get(layer), options.samples, chance)
        directions[layer] = directions_for(cloud.shape[1], options.projections, chance).to(cloud.device)
    return directions

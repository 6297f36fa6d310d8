"""A picture in a painting's style, optimised pixel by pixel until a network sees the content of one in strokes of the other.

Source: Gatys, Ecker, Bethge 2016 (CVPR), equations 1 to 7; for film the losses of Ruder, Dosovitskiy, Brox 2016 (GCPR),
equations 7 to 9, whose weights style_gatys_film.py finds. Coarse to fine: what is made small is the start of what is larger, so
that large strokes are found where a network sees no farther than a few pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.perception import LEAST_PX, Perception
from player.show.problem import Problem, ShowError
from tools.style_gatys_options import STARTS, GatysOptions
from tools.style_gatys_target import (
    Pixels,
    Style,
    gram_sums,
    new_sample,
    part_of,
    pixels_of,
    region_of,
    resized,
    sampled,
    shares_of,
    taken,
    tensor_of,
)
from tools.style_gatys_tiles import Sight, Tile, mirrored
from tools.style_losses import TINY, gram, out_of_range, relative_error, sliced_wasserstein, total_variation
from tools.train_machine import is_out_of_memory

__all__ = ["FlowTerm", "Optimised", "Style", "optimise"]

ENGINE = 2  # of how pictures are made: to be raised when that changes, so that no film is of two kinds
HISTORY, HISTORY_VALUES = 20, 1 << 28  # steps that L-BFGS remembers, fewer of a large picture: 1 GiB at most
RENEWED = 25  # iterations with one sample of places and directions, of the sliced loss under L-BFGS
BOUNDS = 100.0  # weight of values outside 0..1
NOISE, TRACE = 0.15, 0.02  # deviation of a start from noise, and of what is laid over a start from the content, in 0..1
# Painted beyond the borders and cut off: what lies beyond is the mirror image, in which strokes cannot go on, so that they end
# before the border. With 24 px that is still seen on flat walls, with 32 no more.
BLEED_PX = 40
LEAST_LEVEL_PX = 2 * LEAST_PX  # of the shorter side of the coarsest level

Preview = Callable[[int, int, Callable[[], Pixels]], None]


@dataclass(frozen=True)
class FlowTerm:
    """What a picture before this one wants: picture uint8 [H, W, 3], warped here; weight float32 [H, W], 0..1, where it is to
    be believed."""

    picture: Pixels
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Optimised:
    """picture: uint8 [H, W, 3]. loss: the last value. parts: {content, style, temporal, tv} of it, weighted."""

    picture: Pixels
    loss: float
    parts: dict[str, float]


class Diverged(ArithmeticError):
    """A loss that is no number."""


def optimise(content: Pixels, styles: Sequence[Style], options: GatysOptions, *, perception: Perception,
             start: Pixels | None = None, terms: Sequence[FlowTerm] = (),
             preview: Preview | None = None) -> Optimised:  # fmt: skip
    """content uint8 [H, W, 3] in the styles' strokes.

    start: the picture to begin with, of the content's size; only the finest level then runs. terms: of a film, what its frames
    before want. preview: called with (iterations done, of how many, a function that gives the picture as it is, in the
    content's size). Raises ShowError for a layer that the network has not, a start that is no picture, a picture that is too
    small, values that are no numbers, and where memory runs out; ValueError for sizes that do not fit.
    """
    size = (content.shape[0], content.shape[1])
    check(perception, options, size)
    if start is not None and start.shape != content.shape:
        raise ValueError(f"a start of {start.shape} for a picture of {content.shape}")
    groups = [(members, None if where is None else bled(where)) for members, where in shares_of(styles, size)]
    wide = (size[0] + 2 * BLEED_PX, size[1] + 2 * BLEED_PX)
    sizes = [wide] if start is not None else level_sizes(wide, options.levels)
    total, done = len(sizes) * options.iterations, 0
    x: Tensor | None = None if start is None else tensor_of(bled(start), perception.device)
    wider = [FlowTerm(bled(t.picture), bled(t.weight)) for t in terms]
    chance = torch.Generator().manual_seed(options.seed)
    try:
        for at, level in enumerate(sizes):
            now = wider if level == wide else ()
            objective = Objective(bled(content), level, size, groups, options, perception, now, chance)
            x = first(objective, options, chance) if x is None else enlarged(x, level)

            def told(count: int, shown: Tensor, base: int = done) -> None:
                if preview is not None:
                    preview(min(base + count, total), total, lambda: cropped(pixels_of(shown), wide))

            x = descend(objective, x, options, told)
            done = (at + 1) * options.iterations
    except Diverged:
        given = "the losses are no numbers any more"
        raise ShowError(Problem("--method gatys", given, "", "a smaller --style-weight, or --optimiser adam")) from None
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            hint = f"--tile {max(64, options.tile // 2)}" + ("" if options.style_layers else ", or fewer --style-layers")
            raise ShowError(Problem("the machine's memory", f"ran out at {size[1]}x{size[0]}", "", hint)) from None
        raise
    assert x is not None
    return Optimised(cropped(pixels_of(x), wide), float(sum(objective.parts.values())), dict(objective.parts))


def check(perception: Perception, options: GatysOptions, size: tuple[int, int]) -> None:
    """Raises ShowError for layers that the network has not, and a picture that is too small."""
    found = []
    for name, layers in (("--content-layers", options.content_layers), ("--style-layers", options.style_layers)):
        try:
            perception.check(layers)
        except ValueError as error:
            found.append(Problem(name, str(error)))
    if min(size) < LEAST_PX:
        found.append(Problem("the picture", f"is {size[1]}x{size[0]}", f"at least {LEAST_PX} pixels a side"))
    if found:
        raise ShowError(found)


def bled(plane: NDArray[Any]) -> NDArray[Any]:
    """[H, W] or [H, W, C] with BLEED_PX of its mirror image around it."""
    rows, columns = (mirrored(n, BLEED_PX, BLEED_PX).numpy() for n in plane.shape[:2])
    return np.ascontiguousarray(plane[rows][:, columns])


def cropped(picture: Pixels, wide: tuple[int, int]) -> Pixels:
    """A picture of any level, in the size `wide`, without what was painted beyond the borders."""
    whole = resized(picture, wide)
    return np.ascontiguousarray(whole[BLEED_PX : wide[0] - BLEED_PX, BLEED_PX : wide[1] - BLEED_PX])


def level_sizes(size: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    """(height, width) of the pyramid, coarse to fine; the last is the picture's own."""
    found = [size]
    while len(found) < levels and min(found[0]) >= 2 * LEAST_LEVEL_PX:
        found.insert(0, (max(1, round(found[0][0] / 2)), max(1, round(found[0][1] / 2))))
    return found


def enlarged(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The picture of one level as the start of the next."""
    if tuple(x.shape[2:]) == size:
        return x.detach().clone()
    return F.interpolate(x.detach(), size, mode="bicubic", align_corners=False).clamp(0, 1)


def first(objective: Objective, options: GatysOptions, chance: torch.Generator) -> Tensor:
    """Where the first level begins: the content, noise, or a picture of the person's. Raises ShowError."""
    drawn = torch.randn(objective.content.shape, generator=chance).to(objective.content.device)
    if options.start not in STARTS:
        from tools.keyframes_keys import read_content

        picture, _ = read_content(Path(options.start))
        height, width = objective.laid_on
        return tensor_of(resized(bled(resized(picture, (height, width))), objective.sight.size), objective.content.device)
    if options.start == "content":
        # A wall of one colour looks the same everywhere: without a trace of noise strokes never begin there.
        return (objective.content + TRACE * drawn).clamp(0, 1)
    return (0.5 + NOISE * drawn).clamp(0, 1)


def descend(objective: Objective, start: Tensor, options: GatysOptions, told: Callable[[int, Tensor], None]) -> Tensor:
    """The picture [1, 3, H, W] after the level's iterations. told: called after each evaluation. Raises Diverged."""
    x = start.detach().clone().requires_grad_(True)
    done = 0

    def closure() -> float:
        nonlocal done
        value, gradient = objective(x.detach())
        if not np.isfinite(value):
            raise Diverged
        # In sums, not means: L-BFGS drops steps whose product with the change of gradient is below 1e-10.
        x.grad = (gradient * x.numel()).contiguous()
        done += 1
        told(done, x)
        return value * x.numel()

    if options.optimiser == "adam":
        adam = torch.optim.Adam([x], lr=options.rate)
        for at in range(options.iterations):
            for group in adam.param_groups:
                group["lr"] = options.rate * (1 - 0.9 * at / options.iterations)
            objective.renew()
            adam.step(closure)  # type: ignore[arg-type]
        return x.detach().clamp(0, 1)
    step = RENEWED if options.loss == "sliced" else options.iterations
    history = max(3, min(HISTORY, HISTORY_VALUES // (2 * x.numel())))
    while done < options.iterations:
        objective.renew()
        count, before = min(step, options.iterations - done), done
        lbfgs = torch.optim.LBFGS([x], max_iter=count, max_eval=count, history_size=history, tolerance_grad=0.0,
                                  tolerance_change=0.0, line_search_fn="strong_wolfe")  # fmt: skip
        lbfgs.step(closure)  # type: ignore[arg-type]
        if done - before <= 1:  # nothing to descend to
            break
    return x.detach().clamp(0, 1)


class Objective:
    """The loss of a picture of one size and its gradient. size: it is looked at in. laid_on: the size that paintings are laid
    down to. parts: of the last value."""

    def __init__(self, content: Pixels, size: tuple[int, int], laid_on: tuple[int, int],
                 groups: Sequence[tuple[list[Style], NDArray[np.float32] | None]], options: GatysOptions,
                 perception: Perception, terms: Sequence[FlowTerm], chance: torch.Generator):  # fmt: skip
        self.options, self.chance, self.device = options, chance, perception.device
        self.laid_on, factor = laid_on, size[0] / content.shape[0]
        self.content = tensor_of(resized(content, size), self.device)
        self.content_layers = (options.content_layers or perception.content_layers) if options.content else ()
        self.style_layers = (options.style_layers or perception.style_layers) if options.style else ()
        layers = [*self.content_layers, *self.style_layers] or [perception.layers[0]]
        self.sight = Sight(perception, layers, size, options.tile)
        self.regions = [region_of(members, where, laid_on, factor, self.sight, options, chance)
                        for members, where in groups if self.style_layers]  # fmt: skip
        self.terms = [(tensor_of(t.picture, self.device), torch.from_numpy(np.array(t.weight, np.float32)).to(self.device))
                      for t in terms] if options.temporal else []  # fmt: skip
        self.directions: list[dict[str, Tensor]] = []
        self.parts: dict[str, float] = {}
        self.wanted: dict[Tile, dict[str, Tensor]] = {}
        self.varied: dict[str, float] = dict.fromkeys(self.content_layers, 0.0)
        with torch.no_grad():
            for tile, features in self.sight.all(self.content) if self.content_layers else ():
                self.wanted[tile] = {layer: features[layer].clone() for layer in self.content_layers}
        for layer in self.content_layers:
            self.varied[layer] = self._varied(layer)

    def _varied(self, layer: str) -> float:
        """How much the content's features vary over places, summed."""
        parts = [values[layer] for values in self.wanted.values()]
        places = sum(p.shape[2] * p.shape[3] for p in parts)
        mean = torch.stack([p.sum(dim=(0, 2, 3)) for p in parts]).sum(dim=0) / places  # [C]
        return max(float(sum((p - mean[None, :, None, None]).square().sum() for p in parts)), TINY)

    def renew(self) -> None:
        """Another sample of places and directions, for the sliced loss."""
        if self.options.loss == "sliced":
            self.directions = [new_sample(region, self.sight, self.options, self.chance) for region in self.regions]

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        """(loss, its gradient [1, 3, H, W]) of a picture x [1, 3, H, W]."""
        x = x.detach().requires_grad_(True)
        by_network = self._at_once if len(self.sight.tiles) == 1 else self._by_tiles
        value, content, style = by_network(x)
        pixels, own = self._pixels(x)
        gradient = x.grad
        assert gradient is not None
        self.parts = {"content": content, "style": style, **own}
        return value + pixels, gradient

    def _at_once(self, x: Tensor) -> tuple[float, float, float]:
        """The network's losses where it sees the picture at once."""
        (tile, features), = self.sight.all(x)
        content = self._content(features, tile)
        statistics = self._statistics(features, tile)
        style = self._style(statistics)
        if (content + style).requires_grad:  # not where nothing is asked of the network: masks that are empty, say
            (content + style).backward()
        return (content + style).item(), content.item(), style.item()

    def _by_tiles(self, x: Tensor) -> tuple[float, float, float]:
        """The same where it sees tiles: first the statistics of all, then the gradient through each tile's part in them."""
        with torch.no_grad():
            statistics = self._whole_statistics(x)
        leaves = [{k: v.requires_grad_(True) for k, v in region.items()} for region in statistics]
        style = self._style(leaves)
        if style.requires_grad:
            style.backward()
        pulls = [{k: v.grad for k, v in region.items()} for region in leaves]
        total_content, counted = 0.0, [dict.fromkeys(region, 0) for region in leaves]
        padded = self.sight.padded(x).detach().requires_grad_(True)
        for tile in self.sight.tiles:
            features = self.sight.seen(padded, tile)
            content = self._content(features, tile)
            pulled = content + self._pulled(features, tile, pulls, counted)
            if pulled.requires_grad:
                pulled.backward()
            total_content += content.item()
        assert padded.grad is not None
        self.sight.padded(x).backward(padded.grad)
        return total_content + style.item(), total_content, style.item()

    def _content(self, features: dict[str, Tensor], tile: Tile) -> Tensor:
        """The tile's part of the content loss, weighted."""
        total = self.content.new_zeros(())
        for layer in self.content_layers:
            total = total + (features[layer] - self.wanted[tile][layer]).square().sum() / self.varied[layer]
        return total * (self.options.content / max(len(self.content_layers), 1))

    def _statistics(self, features: dict[str, Tensor], tile: Tile) -> list[dict[str, Tensor]]:
        """Of each region {layer: Gram [C, C] or sample [P, C]}, where one tile is all."""
        found = []
        for region in self.regions:
            if self.options.loss == "gram":
                found.append({k: gram(features[k], region.weights.get(k))[0] for k in region.grams})
            else:
                found.append({k: taken(self.sight, features[k], k, at, tile) for k, at in region.places.items()})
        return found

    def _whole_statistics(self, x: Tensor) -> list[dict[str, Tensor]]:
        """The same over all tiles."""
        if self.options.loss == "sliced":
            return [sampled(self.sight, x, region.places) for region in self.regions]
        found = []
        for region in self.regions:
            sums = gram_sums(self.sight, x, {k: region.weights.get(k) for k in region.grams})
            found.append({k: total / max(count, TINY) for k, (total, count) in sums.items()})
        return found

    def _style(self, statistics: list[dict[str, Tensor]]) -> Tensor:
        """The style loss, weighted."""
        total = self.content.new_zeros(())
        for number, (region, own) in enumerate(zip(self.regions, statistics, strict=True)):
            for layer, made in own.items():
                if self.options.loss == "gram":
                    loss = relative_error(made, region.grams[layer])
                elif len(made):
                    loss = sliced_wasserstein(made, region.clouds[layer], self.directions[number][layer])
                else:
                    continue
                total = total + region.share * loss
        return total * (self.options.style / max(len(self.style_layers), 1))

    def _pulled(self, features: dict[str, Tensor], tile: Tile, pulls: list[dict[str, Tensor | None]],
                counted: list[dict[str, int]]) -> Tensor:  # fmt: skip
        """A number whose gradient is that of the style loss through this tile. counted: samples taken so far."""
        total = self.content.new_zeros(())
        for number, region in enumerate(self.regions):
            for layer, pull in pulls[number].items():
                if pull is None:
                    continue
                if self.options.loss == "gram":
                    whole = region.weights.get(layer)
                    weight = part_of(self.sight, whole, layer, tile)
                    rows, columns = self.sight.shape(layer)
                    every = float(rows * columns if whole is None else whole.sum())
                    own = float(features[layer][0, 0].numel() if weight is None else weight.sum())
                    total = total + (gram(features[layer], weight)[0] * pull).sum() * (own / max(every, TINY))
                else:
                    made = taken(self.sight, features[layer], layer, region.places[layer], tile)
                    at = counted[number][layer]
                    total = total + (made * pull[at : at + len(made)]).sum()
                    counted[number][layer] = at + len(made)
        return total

    def _pixels(self, x: Tensor) -> tuple[float, dict[str, float]]:
        """(value, parts) of what is asked of the pixels themselves; adds to x.grad."""
        options = self.options
        tv = options.tv * total_variation(x)
        temporal = x.new_zeros(())
        for picture, weight in self.terms:
            temporal = temporal + (weight * (255 * (x - picture)).square()).mean()
        temporal = options.temporal * temporal
        loss = tv + temporal + BOUNDS * out_of_range(x)
        loss.backward()
        return loss.item(), {"tv": tv.item(), "temporal": temporal.item()}

"""One picture's dream: what a layer of a network answers is made louder by changing the picture, size by size.

Source: Mordvintsev, Olah, Tyka 2015, "Inceptionism: going deeper into neural networks", and the notebook published with it:
ascent on the mean square of a layer, normalised steps, random shifts, octaves that hand their detail on, and guided dreaming
towards the features of another picture.

Of a film a frame begins with the dream of the frame before, moved along the flow: at `carry` times its strength, and then
makes 1 - carry of a whole dream's steps where it was believed, so that it neither grows without end nor fades:
A = carry A + (1 - carry) S.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.perception import Perception
from player.show.problem import Problem, ShowError
from tools.keyframes_flow import flow, reliability, warp
from tools.keyframes_keep import Keep, kept
from tools.style_dream_options import DreamOptions
from tools.style_gatys_target import Pixels, pixels_of, resized, tensor_of
from tools.style_gatys_tiles import Sight, Tile, mirrored
from tools.style_losses import TINY
from tools.train_machine import is_out_of_memory

ENGINE = 2  # of how pictures are made: to be raised when that changes, so that no film is of two kinds
LEAST_OCTAVE_PX = 48  # of the shorter side
MOST_GUIDE = 2048  # places of a guide that are looked at
CHUNK = 8192  # places of the picture that are compared with them at once
AROUND_PX = 24  # dreamt of around the picture, and never shown: at its borders a dream is then as strong as within
BANDS_PX = (0.7, 1.4, 2.8, 5.6)  # sigmas between the bands of a gradient, fine to broad
SHADOW_PX = 6.0  # sigma: what is broader is light and shade

Field = NDArray[np.float32]
Tick = Callable[[int, int, Callable[[], Pixels]], None]


@dataclass(frozen=True)
class Dream:
    """picture: uint8 [H, W, 3], as it is shown. detail: float32 [H, W, 3], what was dreamt into the frame, in 0..1; the next
    frame begins with it."""

    picture: Pixels
    detail: Field


@dataclass(frozen=True)
class Carried:
    """What comes from the frame before: detail float32 [H, W, 3], moved here; trust [H, W] 0..1, how far it is believed."""

    detail: Field
    trust: Field


def middle_layer(perception: Perception) -> str:
    """The layer that dreams where nobody chooses one: of VGG19 relu4_3, of a discriminator one whose values cover 8 pixels."""
    if perception.kind == "vgg19":
        return "relu4_3"
    outputs = [layer for layer in perception.layers if not layer.endswith(".conv0") and perception.stride(layer) <= 8]
    return (outputs or perception.layers)[-1]


def carried(frame: Pixels, before: Pixels, detail: Field) -> Carried:
    """The dream of the frame before as this frame begins with it. frame, before: the film's, uint8 [H, W, 3]."""
    there, back = flow(frame, before), flow(before, frame)
    return Carried(np.asarray(warp(detail, there), np.float32), reliability(there, back))


class Dreamer:
    """Dreams pictures of a film with one network and one guide.

    guide: uint8 [H, W, 3] or None. Raises ShowError for a layer that the network has not.
    """

    def __init__(self, perception: Perception, options: DreamOptions, guide: Pixels | None = None):
        self.perception, self.options = perception, options
        self.layer = options.layer or middle_layer(perception)
        try:
            self.stride = perception.stride(self.layer)
        except ValueError as error:
            raise ShowError(Problem("--layer", str(error))) from None
        self.guide = None if guide is None else self._seen_in(guide)

    def _seen_in(self, guide: Pixels) -> Tensor:
        """[Q, C]: the guide's features at places all over it."""
        sight = Sight(self.perception, [self.layer], (guide.shape[0], guide.shape[1]), self.options.tile)
        with torch.no_grad():
            parts = [f[self.layer][0].flatten(1).T for _, f in sight.all(tensor_of(guide, self.perception.device))]
        cloud = torch.cat(parts)  # [Q, C]
        chosen = np.unique(np.linspace(0, len(cloud) - 1, MOST_GUIDE).astype(int))
        return cloud[torch.from_numpy(chosen)]

    def dream(self, frame: Pixels, past: Carried | None = None, number: int = 0, tick: Tick | None = None) -> Dream:
        """The dream of a frame uint8 [H, W, 3]. past: of the frame before. number: of the frame, for messages. tick: called
        with (steps done, of how many, a function that gives the picture as it is, in its own size). Raises ShowError where
        the picture is too small, values are no numbers, or memory runs out."""
        size = (frame.shape[0], frame.shape[1])
        if min(size) < max(LEAST_OCTAVE_PX, self.stride):
            raise ShowError(Problem("the picture", f"is {size[1]}x{size[0]}", f"{LEAST_OCTAVE_PX} pixels a side at least"))
        try:
            return self._dream(frame, past, number, tick)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                hint = f"--tile {max(64, self.options.tile // 2)}"
                raise ShowError(Problem("the machine's memory", f"ran out at {size[1]}x{size[0]}", "", hint)) from None
            raise

    def _dream(self, frame: Pixels, past: Carried | None, number: int, tick: Tick | None) -> Dream:
        o, whole = self.options, (frame.shape[0], frame.shape[1])
        base = tensor_of(frame, self.perception.device)
        # The same shifts in every frame: a film's dream may not tremble.
        chance = np.random.default_rng(o.seed)
        held: Tensor | None = None
        pace: Tensor | None = None
        if past is not None and o.carry > 0:
            trust = torch.from_numpy(past.trust).to(base)[None, None]  # [1, 1, H, W]
            held = torch.from_numpy(np.ascontiguousarray(past.detail.transpose(2, 0, 1))).to(base)[None] * (o.carry * trust)
            pace = 1 - o.carry * trust
        sizes = octave_sizes(whole, o.octaves, o.ratio, max(LEAST_OCTAVE_PX, self.stride))
        fresh = torch.zeros_like(base)
        for at, size in enumerate(sizes):
            below = at_size(base, size)
            if held is not None:
                below = below + at_size(held, size)
            speed = None if pace is None else at_size(pace, size)
            x = below + at_size(fresh, size)

            def told(done: int, shown: Tensor, at: int = at) -> None:
                if tick is not None:
                    tick(at * o.iterations + done, len(sizes) * o.iterations, lambda: resized(pixels_of(shown), whole))

            x = self._louder(x, size, speed, chance, told)
            fresh = x - below
        if not bool(torch.isfinite(x).all()):
            raise ShowError(Problem(f"frame {number}", "has values that are no numbers", "", "a smaller --step"))
        picture = pixels_of(x)
        detail = (x - base)[0].permute(1, 2, 0).cpu().numpy().astype(np.float32)
        return Dream(self.shown(picture, frame), np.ascontiguousarray(detail))

    def shown(self, picture: Pixels, frame: Pixels) -> Pixels:
        """The dream with what is to be kept of the film."""
        o = self.options
        for what in o.keep:
            # Colour to the pixel, since dreams have fine rainbows; of light and dark only what is broad, or nothing were left.
            keep = Keep("colour", o.keep_amount, 0) if what == "colour" else Keep("luminance", o.keep_amount, SHADOW_PX)
            picture = kept(picture, frame, keep)
        return picture

    def _louder(self, x: Tensor, size: tuple[int, int], speed: Tensor | None, chance: np.random.Generator,
                told: Callable[[int, Tensor], None]) -> Tensor:  # fmt: skip
        """x [1, 3, H, W] after one octave's steps."""
        o = self.options
        more = 2 * AROUND_PX + self.stride - 1  # of height and width, for what surrounds it and the shifts
        sight = Sight(self.perception, [self.layer], (size[0] + more, size[1] + more), o.tile)
        for done in range(1, o.iterations + 1):
            # Shifted at random, so that the network's own grid of strides, and tiles, leave no trace. In its own mirror image:
            # rolled, the bottom would lie against the top, and be dreamt of as an edge there.
            dy, dx = (AROUND_PX + int(n) for n in chance.integers(0, self.stride, 2))
            rows, columns = (mirrored(n, d, more - d).to(x.device) for n, d in zip(size, (dy, dx), strict=True))
            gradient = self._gradient(x[:, :, rows][:, :, :, columns], sight)
            gradient = self._balanced(gradient[:, :, dy : dy + size[0], dx : dx + size[1]])
            gradient = gradient * (o.step / 255 / gradient.abs().mean().clamp_min(TINY))
            x = (x + (gradient if speed is None else gradient * speed)).clamp(0, 1)
            told(done, x)
        return x

    def _gradient(self, x: Tensor, sight: Sight) -> Tensor:
        """The gradient of the layer's loudness, or likeness to the guide, tile by tile."""
        padded = sight.padded(x).detach().requires_grad_(True)
        for tile in sight.tiles:
            self._loudness(sight, padded, tile).backward()
        whole = x.detach().requires_grad_(True)
        assert padded.grad is not None
        sight.padded(whole).backward(padded.grad)
        assert whole.grad is not None
        if self.perception.planes == 3:  # a grey network has nothing to say about colour: it dreams in light and dark
            return whole.grad.mean(dim=1, keepdim=True).expand_as(whole.grad)
        return whole.grad

    def _loudness(self, sight: Sight, padded: Tensor, tile: Tile) -> Tensor:
        """What is to grow, of one tile: towards a guide, the product of each place's features and those of the guide's place
        that is most like it. Most like by the product over the length of the guide's: the notebook takes the plain product, by
        which one loud place of the guide is taken nearly everywhere."""
        features = sight.seen(padded, tile)[self.layer]
        if self.guide is None:
            return features.square().sum()
        flat = features[0].flatten(1).T  # [P, C]
        with torch.no_grad():
            lengths = self.guide.norm(dim=1).clamp_min(TINY)
            best = torch.cat([(part @ self.guide.T / lengths).argmax(dim=1) for part in flat.detach().split(CHUNK)])
            wanted = self.guide[best]  # [P, C]
        return (flat * wanted).sum()

    def _balanced(self, gradient: Tensor) -> Tensor:
        """The gradient in bands, each made equally strong and then weighed by `smooth`. What is broader than all of them is
        left out: it only makes the whole picture lighter or darker, which some layers would have before anything else."""
        smooth, last = self.options.smooth, len(BANDS_PX) - 1
        total, rest = torch.zeros_like(gradient), gradient
        for number, sigma in enumerate(BANDS_PX):
            broad = blurred(rest, sigma)
            band = rest - broad
            share = number / last
            total = total + band * (((1 - smooth) * (1 - share) + smooth * share) / band.square().mean().sqrt().clamp_min(TINY))
            rest = broad
        return total


def octave_sizes(size: tuple[int, int], octaves: int, ratio: float, least: int) -> list[tuple[int, int]]:
    """(height, width) from small to the picture's own, none with a side below `least`."""
    found = [(round(size[0] / ratio**k), round(size[1] / ratio**k)) for k in range(octaves)]
    return [s for s in found[::-1] if min(s) >= least] or [size]


def at_size(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x [1, C, H, W] in another size: smoothed where smaller, bicubic where larger."""
    if tuple(x.shape[2:]) == size:
        return x
    if size[0] < x.shape[2]:
        return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(x, size, mode="bicubic", align_corners=False)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """x [1, C, H, W] through a Gaussian of sigma pixels, its border repeated."""
    radius = max(1, round(3 * sigma))
    at = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    taps = torch.exp(-0.5 * (at / sigma) ** 2)
    taps = taps / taps.sum()
    channels = x.shape[1]
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    across = F.conv2d(padded, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(across, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

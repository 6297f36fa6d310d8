"""A generator that makes the same pictures smaller, for a fraction of the work: its lower blocks alone.

In the skip architecture every block adds to one picture, so what stands there after the block of 64 pixels is the picture at 64
pixels, but for the tone that the later blocks add; a line through some samples gives that back. On the demo's model, 64 of 128
pixels: 0.3 % of the variance is left over, for a third of the time.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from models.stylegan2 import Generator

LINE_SAMPLES = 24  # pictures through which the line of tones is laid
MOST_LEFT = 0.05  # share of the variance: a generator whose small pictures are others is not reduced


def reduced(generator: Generator, size: int, seed: int = 0) -> Generator:
    """The generator up to `size` pixels; itself where it is no larger, has another architecture than skip, or makes
    other pictures there. W only: of W+ it
    takes the first rows. The weights of the blocks are shared; those that make the picture are copies."""
    config = generator.config
    if size >= config.resolution or config.architecture != "skip" or size < 8:
        return generator
    small = Generator(replace(config, resolution=size, half_blocks=0)).to(generator.w_avg.device)
    own, state = generator.state_dict(), small.state_dict()
    small.load_state_dict({name: own[name] for name in state})
    small.eval().requires_grad_(False)
    with torch.no_grad():
        made = torch.Generator().manual_seed(seed)
        z = torch.randn(LINE_SAMPLES, config.z_dim, generator=made).to(generator.w_avg.device)  # [n, z_dim]
        c = torch.eye(config.c_dim)[torch.arange(len(z)) % config.c_dim].to(z.device) if config.c_dim else None
        w = generator.mapping.w(z, c)[:, None]  # [n, 1, w_dim]
        truth = torch.cat([generator.synthesis(part.expand(-1, generator.num_ws, -1)) for part in w.split(4)])
        truth = F.interpolate(truth, (size, size), mode="area")  # [n, C, s, s]
        rough = torch.cat([small.synthesis(part.expand(-1, small.num_ws, -1)) for part in w.split(4)])
        x, y = rough - rough.mean(), truth - truth.mean()
        gain = float(((x * y).mean() / x.square().mean().clamp_min(1e-12)).clamp(0.25, 4.0))
        if float((gain * x - y).square().mean()) > MOST_LEFT * float(y.square().mean()):
            return generator
        for block in small.synthesis.blocks():
            assert block.torgb is not None
            block.torgb.weight.mul_(gain)
            block.torgb.bias.mul_(gain)
        last = small.synthesis.blocks()[-1].torgb
        assert last is not None
        last.bias.add_(truth.mean() - gain * rough.mean())
    return small

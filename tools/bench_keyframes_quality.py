"""The part "quality" of `cineml bench keyframes`: two painted keys carried through a clip whose painted truth is known.

The clip is ../shared/pictures/dev/disc_pan: a disc that turns and rolls before a ground that slides, keys 0 and 11. Its plain
baseline, in the same run, is what flow alone can do: both keys warped to each frame by the film's flow, chained from frame
to frame, and cross-faded by distance. Occlusion borders are a band around where forward and backward motion of neighbouring
frames, known exactly, do not lead back home.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tools.bench import Row
from tools.bench_keyframes_clip import Clip, Motion
from tools.keyframes_measure import FlowOf, e_warp, fetched, fine_sharpness, inside, mean_psnr, sharpness

if TYPE_CHECKING:
    from tools.keyframes_options import Options

Picture = NDArray[np.uint8]
BAND_PX = 5  # around what is covered or disclosed from one frame to the next: a patch
HOME_PX = 0.5  # motion that comes back nearer than this has led home
GAIN_DB, BORDER_GAIN_DB, SHARP, WARP = 0.5, 1.5, 0.05, 1.2


def disc_pan(folder: Path) -> Clip:
    """The clip in its folder: frame_NNN.png, truth_NNN.png, mask_NNN.png and motion.json, as LICENCES.md beside it says."""
    from PIL import Image

    told = json.loads((folder / "motion.json").read_text(encoding="utf-8"))

    def read(kind: str, mode: str) -> tuple[Picture, ...]:
        return tuple(np.asarray(Image.open(folder / f"{kind}_{i:03d}.png").convert(mode)) for i in range(told["frames"]))

    masks = read("mask", "L")
    places = [[f[f"{layer}_affine"] for f in told["affines_layer_to_frame"]] for layer in ("bg", "fg")]
    motion = Motion(np.stack([(m > 127).astype(np.uint8) for m in masks]), np.array(places, np.float64))
    return Clip(read("frame", "RGB"), read("truth", "RGB"), masks, motion)


def occlusion_border(motion: Motion, frame: int) -> NDArray[np.bool_]:
    """[H, W]: within BAND_PX of a pixel that the frame before or after does not show, though it lies within the picture."""
    from scipy.ndimage import binary_dilation

    lost = np.zeros(motion.labels.shape[1:], np.bool_)
    for other in (frame - 1, frame + 1):
        if 0 <= other < len(motion.labels):
            there = motion.flow(frame, other)
            home = np.hypot(*np.moveaxis(there + fetched(motion.flow(other, frame), there), -1, 0))
            lost |= inside(there) & (home > HOME_PX)
    y, x = np.mgrid[-BAND_PX : BAND_PX + 1, -BAND_PX : BAND_PX + 1]
    return np.asarray(binary_dilation(lost, np.hypot(x, y) <= BAND_PX))


def film_flow(frames: Sequence[Picture]) -> FlowOf:
    """The film's own flow between any two of its frames, each computed once."""
    from tools.keyframes_flow import flow

    @lru_cache(maxsize=4096)
    def found(i: int, j: int) -> NDArray[np.float32]:
        return np.asarray(flow(frames[i], frames[j]), np.float32)

    return found


def cross_faded(keys: Mapping[int, Picture], count: int, flow_of: FlowOf) -> list[Picture]:
    """The baseline: for each frame both neighbouring keys warped by the film's flow, bilinear, and mixed by distance; outside
    of the keys the nearest alone."""
    at = sorted(keys)
    from_left, from_right = chained(keys, at, count, flow_of, 1), chained(keys, at, count, flow_of, -1)
    made = []
    for t in range(count):
        left = max((k for k in at if k <= t), default=None)
        right = min((k for k in at if k >= t), default=None)
        if left is None or right is None or left == right:
            made.append(from_right[t] if left is None else from_left[t])
        else:
            share = (t - left) / (right - left)
            made.append((1 - share) * from_left[t] + share * from_right[t])
    return [np.clip(np.rint(m), 0, 255).astype(np.uint8) for m in made]


def chained(keys: Mapping[int, Picture], at: Sequence[int], count: int, flow_of: FlowOf,
            step: int) -> dict[int, NDArray[np.float32]]:  # fmt: skip
    """Each frame as the key before it (step 1) or after it (step -1) gives it, by flows joined frame by frame and one
    interpolation at the end."""
    made: dict[int, NDArray[np.float32]] = {}
    key, total = None, None
    for t in range(count) if step > 0 else range(count - 1, -1, -1):
        if t in keys:
            key, total = t, np.zeros((*keys[t].shape[:2], 2), np.float32)
        elif key is not None and total is not None:
            back = flow_of(t, t - step)
            total = back + fetched(total, back)
        if key is not None and total is not None:
            made[t] = fetched(keys[key].astype(np.float32), total)
    return made


@dataclass(frozen=True)
class Measured:
    """One way's numbers over the frames between the keys. e_warp in 0..1 squared, of all frames. cpu_s: of this process."""

    psnr: float
    border_psnr: float
    sharp: float
    fine: float
    e_warp: float
    e_warp_5: float
    exact_e_warp: float
    cpu_s: float


def measured(pictures: Sequence[Picture], clip: Clip, keys: Mapping[int, Picture], flow_of: FlowOf,
             cpu_s: float = 0.0) -> Measured:  # fmt: skip
    """The numbers of these pictures, one a frame."""
    between = [t for t in range(len(clip.frames)) if t not in keys]
    made, truth = [pictures[t] for t in between], [clip.truths[t] for t in between]
    borders = [occlusion_border(clip.motion, t) for t in between]
    return Measured(mean_psnr(made, truth), mean_psnr(made, truth, borders), float(np.mean([sharpness(p) for p in made])),
                    float(np.mean([fine_sharpness(p) for p in made])), e_warp(pictures, flow_of), e_warp(pictures, flow_of, 5),
                    e_warp(pictures, clip.motion.flow), cpu_s)  # fmt: skip


def propagated(clip: Clip, keys: Mapping[int, Picture], options: Options, masked: bool) -> tuple[list[Picture], float]:
    """Every frame as `cineml keyframes propagate` makes it, and the CPU seconds of it."""
    from tools.keyframes_shot import propagate_shot

    begun_s = time.process_time()
    found = dict(propagate_shot(clip.frames, keys, options, clip.masks if masked else None))
    return [found[t] for t in range(len(clip.frames))], time.process_time() - begun_s


def compared(clip: Clip, keys: Mapping[int, Picture], options: Options) -> dict[str, Measured]:
    """cross-fade, ours with the clip's masks, ours without, and the truth itself, measured alike."""
    flow_of = film_flow(clip.frames)
    begun_s = time.process_time()
    faded = cross_faded(keys, len(clip.frames), flow_of)
    found = {"faded": measured(faded, clip, keys, flow_of, time.process_time() - begun_s)}
    for name, masked in (("ours", True), ("unmasked", False)):
        pictures, cpu_s = propagated(clip, keys, options, masked)
        found[name] = measured(pictures, clip, keys, flow_of, cpu_s)
    return found | {"truth": measured(clip.truths, clip, keys, flow_of)}


def quality_rows(name: str, found: Mapping[str, Measured]) -> list[Row]:
    """The rows of one clip."""
    ours, faded, truth, plain = found["ours"], found["faded"], found["truth"], found["unmasked"]
    gain, border = ours.psnr - faded.psnr, ours.border_psnr - faded.border_psnr
    sharp, warp = ours.sharp / truth.sharp, ours.e_warp / truth.e_warp
    return [
        Row(f"{name}: PSNR over flow warping with cross-fade", f"{gain:+.2f} dB ({ours.psnr:.2f} and {faded.psnr:.2f})",
            f"at least {GAIN_DB} dB", gain >= GAIN_DB),
        Row(f"{name}: the same at occlusion borders", f"{border:+.2f} dB ({ours.border_psnr:.2f} and {faded.border_psnr:.2f})",
            f"at least {BORDER_GAIN_DB} dB", border >= BORDER_GAIN_DB),
        Row(f"{name}: sharpness, of the truth's", f"{sharp:.3f} (finest detail {ours.fine / truth.fine:.3f}; cross-fade "
            f"{faded.sharp / truth.sharp:.3f} and {faded.fine / truth.fine:.3f})", f"within {SHARP:.0%}",
            abs(sharp - 1) <= SHARP),
        Row(f"{name}: E_warp over 1 frame, of the truth's own", f"{warp:.2f} ({1e4 * ours.e_warp:.2f} and "
            f"{1e4 * truth.e_warp:.2f} e-4)", f"at most {WARP}", warp <= WARP),
        Row(f"{name}: E_warp over 5 frames; over 1 by the exact motion; of the truth's own",
            f"{ours.e_warp_5 / truth.e_warp_5:.2f}; {ours.exact_e_warp / truth.exact_e_warp:.2f}"),
        Row(f"{name}: without masks", f"{plain.psnr - faded.psnr:+.2f} dB, {plain.border_psnr - faded.border_psnr:+.2f} dB at "
            f"borders, sharpness {plain.sharp / truth.sharp:.3f}, E_warp {plain.e_warp / truth.e_warp:.2f}"),
        Row(f"{name}: CPU seconds a frame", f"{ours.cpu_s / 10:.2f}, cross-fade {faded.cpu_s / 10:.2f}"),
    ]  # fmt: skip


def rows(folder: Path | None = None) -> list[Row]:
    """The rows. folder: of the clip; default beside the repository, and one row that says so where it is not there."""
    from tools.keyframes_options import Options

    folder = folder or Path(__file__).resolve().parents[2] / "shared" / "pictures" / "dev" / "disc_pan"
    if not (folder / "motion.json").is_file():
        return [Row("keyframes quality: disc_pan", "not here: needs ../shared/pictures", f"{GAIN_DB} dB, {BORDER_GAIN_DB} dB")]
    print("bench: keyframes quality, disc_pan", flush=True)
    clip = disc_pan(folder)
    keys = {0: clip.truths[0], len(clip.truths) - 1: clip.truths[-1]}
    return quality_rows("disc_pan, keys 0 and 11", compared(clip, keys, Options(preset="normal")))

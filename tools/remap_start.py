"""Where the fit of a shot begins: which frames have keys, and the latents that stand there at first."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from player.show.cut_list import CutList
from tools.remap_encoder import EncoderSettings, PathEncoder, read_codes, smoothed
from tools.remap_encoder_train import encoder_of
from tools.remap_fit import Bank, carried_on, key_frames, random_bank, start_from_bank, start_from_codes
from tools.remap_job import Job
from tools.remap_keys import TOLERANCE, Wishes, banned_frames, greedy_keys
from tools.remap_score import walk_name
from tools.remap_target import Target

BANK = 1024  # random pictures to start from, where that was asked for
ENCODER_SHARE = 0.3  # of the time at most


def usable_frames(cuts: CutList) -> npt.NDArray[np.bool_]:
    """[frames]: which film frames show one shot, whole."""
    mixes = [cuts.mix_at(f) for f in range(cuts.frames)]
    found = np.array([m.outgoing is None and m.fade > 0.999 for m in mixes])
    return found if found.any() else np.ones(cuts.frames, bool)


class Starts:
    """Gives each shot its start; the encoder or the bank is made when the first shot asks."""

    def __init__(self, job: Job, settings: EncoderSettings | None = None, tell: Callable[[str, float], None] | None = None):
        self.job, self.settings, self.tell = job, settings, tell
        self._bank: Bank | None = None
        self._encoder: PathEncoder | None = None

    def ready(self, deadline: float) -> None:
        """Make what is slow. deadline: of the whole remap, as time.monotonic() has it."""
        job = self.job
        if job.start == "encoder" and self._encoder is None:
            x, y, w, h = job.inner
            seconds = ENCODER_SHARE * (deadline - time.monotonic())
            self._encoder = encoder_of(job.source.generator, job.source.weights_sha256, job.film, usable_frames(job.cuts),
                                       (x, y, w, h), job.remap.work_folder, self.settings, seconds, self.tell)  # fmt: skip
        if job.start == "bank" and self._bank is None:
            self._bank = random_bank(job.source.generator, BANK, job.remap.seed)

    def of(self, target: Target) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Film frames of the keys [K], and keys [K, w_dim] or [K, rows, w_dim]."""
        job, shot = self.job, target.shot
        wishes = job.wishes.get(shot.number, Wishes())
        never = [f for f in banned_frames(wishes, walk_name(shot)) if f not in wishes.pinned]
        if job.start == "bank":
            assert self._bank is not None
            even = key_frames(target.frames, shot.end)
            keys = np.unique(np.append(even[~np.isin(even, never) | (even == even[0]) | (even == even[-1])],
                                       sorted(wishes.pinned))).astype(np.int64)  # fmt: skip
            return keys, pinned_start(start_from_bank(target, self._bank, keys), keys, wishes)
        codes = self.codes(target)
        known = target.clean > 0
        smooth = smoothed(codes[target.frames], known)
        far = TOLERANCE * codes.shape[1] ** 0.5 * job.deviation
        carried = carried_on(smooth, known)
        keys = greedy_keys(target.frames, carried, shot.end, far, sorted(wishes.pinned), never)
        return keys, pinned_start(start_from_codes(job.source.generator, target, codes, keys), keys, wishes)

    def codes(self, target: Target) -> npt.NDArray[np.float32]:
        """[film frames, w_dim], right at the target's."""
        if self.job.start == "anchors":
            assert self.job.codes is not None
            return self.job.codes
        assert self._encoder is not None
        codes = np.zeros((self.job.cuts.frames, self.job.source.generator.config.w_dim), np.float32)
        codes[target.frames] = read_codes(self._encoder, target.images)
        return codes


def pinned_start(start: npt.NDArray[np.float32], keys: npt.NDArray[np.int64], wishes: Wishes) -> npt.NDArray[np.float32]:
    """The start [K, w_dim] with the pinned latents at their frames; [K, rows, w_dim] where one of them is one w a layer."""
    if not wishes.pinned:
        return start
    rows = max(len(k) for k in wishes.pinned.values())
    made = np.repeat(start[:, None], rows, axis=1)  # [K, rows, w_dim]
    for frame, latent in wishes.pinned.items():
        made[int(np.flatnonzero(keys == frame)[0])] = latent
    return made

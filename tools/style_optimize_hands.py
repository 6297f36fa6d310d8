"""What `cineml style optimize` paints frames with: pieces of the paintings, or a network's eyes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tools.keyframes_keep import Keep, kept
from tools.style_black import with_black
from tools.style_frames import SEEN_EVERY_S, Done
from tools.style_optimize_masks import Mask

if TYPE_CHECKING:
    from models.perception import Perception
    from tools.paint_gate import Gate
    from tools.paint_style import Painting
    from tools.style_gatys_options import GatysOptions
    from tools.style_patches import Easel

Pixels = npt.NDArray[np.uint8]
Told = Callable[[float], None]
Seen = Callable[[Pixels], None]


class PatchHand:
    """Guided patch synthesis; a frame of a film follows those before it."""

    def __init__(self, easel: Easel, masks: Sequence[Mask | None], together: bool) -> None:
        """together: else each frame on its own."""
        from tools.style_patches_film import BACK

        self.easel, self.masks = easel, masks
        self.back = BACK if together else ()

    def paint(self, number: int, frame: Pixels, before: Mapping[int, Done], told: Told, seen: Seen) -> Done:
        """As style_frames.Hand."""
        from tools.style_patches_film import Before, earlier_of

        near = [Before(d.frame, np.asarray(d.arrays["painted"], np.uint8), d.arrays["field"].astype(np.int32), back)
                for back, d in before.items()]  # fmt: skip
        start = earlier_of(frame, near)
        # What a frame of a film looks like before it is done says little: it is nearly the one before.
        shown = seen if start is None else None
        made = self.easel.stylise(frame, start, [None if m is None else m.at(number) for m in self.masks], told, shown)
        arrays = {"painted": made.painted, "field": small(made.field)}
        return Done(frame, made.picture, arrays, float(made.error.mean()))


class GatysHand:
    """Optimisation of the picture itself in a network's eyes (Gatys et al. 2016), of film by Ruder et al. 2016."""

    def __init__(self, paintings: Sequence[Painting], weights: Sequence[float], masks: Sequence[Mask | None],
                 options: GatysOptions, perception: Perception, keep: Keep | None, together: bool,
                 gate: Gate | None = None) -> None:  # fmt: skip
        """gate: the film's black frame, which stays black."""
        from tools.style_gatys_film import OFFSETS

        self.paintings, self.weights, self.masks = paintings, weights, masks
        self.options, self.perception, self.keep, self.gate = options, perception, keep, gate
        self.back = tuple(range(1, max(OFFSETS) + 1)) if together else ()

    def paint(self, number: int, frame: Pixels, before: Mapping[int, Done], told: Told, seen: Seen) -> Done:
        """As style_frames.Hand."""
        from tools.style_gatys import Style, optimise
        from tools.style_gatys_film import Past
        from tools.style_patches import masked

        past = Past()
        for back in sorted(before, reverse=True):
            past.add(before[back].frame, np.asarray(before[back].arrays["painted"], np.uint8))
        start, terms = past.towards(frame)
        masks = [None if m is None else m.at(number) for m in self.masks]
        styles = [Style(p, w, m) for p, w, m in zip(self.paintings, self.weights, masks, strict=True)]

        shown_s = time.monotonic()

        def preview(done: int, total: int, picture: Callable[[], Pixels]) -> None:
            nonlocal shown_s
            told(done / max(total, 1))
            if time.monotonic() - shown_s > SEEN_EVERY_S:  # a picture of it takes its time
                seen(picture())
                shown_s = time.monotonic()

        made = optimise(frame, styles, self.options, perception=self.perception, start=start, terms=terms, preview=preview)
        picture = made.picture if self.keep is None else kept(made.picture, frame, self.keep)
        picture = with_black(masked(picture, frame, masks), frame, self.gate)
        return Done(frame, picture, {"painted": made.picture}, float(made.loss))


def small(field: npt.NDArray[np.int32]) -> npt.NDArray[np.integer]:
    """A field in half its bytes, where that holds it."""
    return field.astype(np.uint16) if field.min() >= 0 and field.max() < 1 << 16 else field

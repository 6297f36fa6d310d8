"""Wander: the freedom a latent may take from the score's path: smooth, seeded, and closed-form in film time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from player.show.walk import Array

SINES = 3  # per direction: enough that no swing is seen to repeat
SLOWEST_HZ, FASTEST_HZ = 0.03, 0.25  # below a picture seems stuck, above it shakes


class Wander:
    """An excursion in W of rms 1 sigma, the same whenever it is asked for the same film second.

    Each of K samples' deviations from the mean is weighted by a sum of incommensurate sines of unit rms; the sum over
    samples, divided by sqrt(K), has exactly the samples' covariance. So it goes far where the generator's own latents go
    far and hardly moves where they hardly do, where independent noise per dimension would leave the space the generator
    was trained on.
    """

    def __init__(self, samples: Array, seed: int) -> None:
        """samples: [K, w_dim] float32, outputs of the mapping for seeded z."""
        rng = np.random.default_rng([seed, 1])
        count = len(samples)
        self._away = ((samples - samples.mean(0)) / np.sqrt(count)).astype(np.float32)  # [K, w_dim]
        self.sigma: Array = samples.std(0)  # [w_dim]
        # Frequencies drawn from a continuum have no common period.
        self._omega = 2 * np.pi * np.exp(rng.uniform(np.log(SLOWEST_HZ), np.log(FASTEST_HZ), (count, SINES)))
        self._phase = rng.uniform(0, 2 * np.pi, (count, SINES))

    def at(self, film_s: float) -> npt.NDArray[np.float32]:
        """The excursion at a film time in seconds, [w_dim] float32."""
        weights = np.sqrt(2 / SINES) * np.sin(self._omega * film_s + self._phase).sum(1)  # [K], rms 1
        excursion: npt.NDArray[np.float32] = weights.astype(np.float32) @ self._away
        return excursion

"""What a detector adds: shot noise and read noise."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.crappify.settings import LOG, Setting, check_above, settled

Frames = Float[Tensor, "n f h w"]


@dataclass(frozen=True)
class Poisson:
    """Shot noise of a detector that counts `peak` photons where the frame is 1.

    The variance grows with the mean: var = mean / peak.

    Args:
        peak: photons at frame value 1; 10 is dim, 1000 is bright. `[low, high]` is drawn with equal
            chances per octave, once per bundle.
    """

    peak: Setting = field(default=100.0, metadata=LOG)

    def __post_init__(self) -> None:
        check_above("poisson.peak", self.peak, 0)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The noisy frames; mean preserved, may exceed 1.

        Args:
            frames: (N, F, H, W), 1 is full scale; values below 0 count as 0.
            rng: every draw comes from here.
        """
        peak = settled(self.peak)
        return torch.poisson(frames.clamp(min=0) * peak, generator=rng) / peak


@dataclass(frozen=True)
class Gaussian:
    """Read noise of the electronics, the same at every brightness.

    Args:
        sigma: standard deviation as a share of full scale.
    """

    sigma: Setting = 0.02

    def __post_init__(self) -> None:
        check_above("gaussian.sigma", self.sigma, 0, allow_equal=True)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The noisy frames; mean preserved, may fall below 0.

        Args:
            frames: (N, F, H, W), 1 is full scale.
            rng: every draw comes from here.
        """
        noise = torch.randn(frames.shape, generator=rng, device=frames.device, dtype=frames.dtype)
        return frames + settled(self.sigma) * noise


NOISE: dict[str, Callable[..., Callable[..., Tensor]]] = {"poisson": Poisson, "gaussian": Gaussian}

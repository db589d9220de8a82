"""What a detector and its electronics add: shot noise, read noise, offset, and what they cut away.

Frames are (N, F, H, W), 1 is full scale.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.crappify.optics import Blur
from pssr.crappify.settings import LOG, Setting, check_above, check_between, each, settled
from pssr.errors import ConfigError

Frames = Float[Tensor, "n f h w"]


@dataclass(frozen=True)
class Poisson:
    """Shot noise of a detector that counts `peak` photons where the frame is 1.

    The variance grows with the mean: var = mean / peak.

    Args:
        peak: photons at frame value 1; 10 is dim, 1000 is bright. `[low, high]` is drawn with equal
            chances per octave, once per bundle.
        gain: counts per photon, instead of the peak; needs `full_scale`.
        full_scale: counts at frame value 1.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "kept"
    peak: Setting | None = field(default=None, metadata=LOG)
    gain: Setting | None = field(default=None, metadata=LOG)
    full_scale: float | None = None

    def __post_init__(self) -> None:
        if self.gain is None and self.peak is None:
            object.__setattr__(self, "peak", 100.0)
        if self.gain is not None and (self.full_scale is None or self.peak is not None):
            raise ConfigError(
                "poisson.gain: says nothing without full_scale, or beside peak; give gain and full_scale"
            )
        for name in ("peak", "gain", "full_scale"):
            if getattr(self, name) is not None:
                check_above(f"poisson.{name}", getattr(self, name), 0)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The noisy frames; mean preserved, may exceed 1; values below 0 count as 0."""
        if self.gain is not None:
            assert self.full_scale is not None
            peak: float | Tensor = self.full_scale / settled(self.gain)
        else:
            assert self.peak is not None
            peak = settled(self.peak)
        return torch.poisson(frames.clamp(min=0) * peak, generator=rng) / peak


@dataclass(frozen=True)
class Gaussian:
    """Read noise of the electronics, the same at every brightness.

    Args:
        sigma: standard deviation as a share of full scale.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "kept"
    sigma: Setting = 0.02

    def __post_init__(self) -> None:
        check_above("gaussian.sigma", self.sigma, 0, allow_equal=True)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The noisy frames; mean preserved, may fall below 0."""
        return frames + settled(self.sigma) * _normal(frames, rng)


@dataclass(frozen=True)
class Offset:
    """The level that the electronics give without light.

    Args:
        level: as a share of full scale; may be negative.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "shifted"
    level: Setting = 0.02

    def __post_init__(self) -> None:
        check_between("offset.level", self.level, -100, 100)

    def __call__(self, frames: Frames) -> Frames:
        """The frames, all brighter by the level."""
        return frames + settled(self.level)


@dataclass(frozen=True)
class SaltPepper:
    """Pixels that are lost: white ones and black ones.

    Args:
        salt: share of pixels that become 1.
        pepper: share of pixels that become 0.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "changed"
    salt: Setting = 0.005
    pepper: Setting = 0.005

    def __post_init__(self) -> None:
        check_between("salt_pepper.salt", self.salt, 0, 0.5)
        check_between("salt_pepper.pepper", self.pepper, 0, 0.5)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The frames with lost pixels; the others are unchanged."""
        u = torch.rand(frames.shape, generator=rng, device=frames.device, dtype=frames.dtype)
        salted = torch.where(u < settled(self.salt), torch.ones_like(frames), frames)
        return torch.where(u > 1 - settled(self.pepper), torch.zeros_like(frames), salted)


@dataclass(frozen=True)
class LocalVariance:
    """Gaussian noise whose variance follows the blurred brightness.

    Args:
        strength: variance where the blurred frame is 1.
        sigma_px: blur of the brightness.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "kept"
    strength: Setting = 0.5
    sigma_px: float = 5.0

    def __post_init__(self) -> None:
        check_above("local_variance.strength", self.strength, 0, allow_equal=True)
        check_above("local_variance.sigma_px", self.sigma_px, 0)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The noisy frames; mean preserved."""
        variance = settled(self.strength) * Blur(sigma_px=self.sigma_px)(frames).clamp(min=0)
        return frames + variance.sqrt() * _normal(frames, rng)


@dataclass(frozen=True)
class PssrNoise:
    """The noise of the published PSSR crappifier for fluorescence, `new_crap_AG_SP`.

    Local variance, clipped to 0..1, then salt and pepper, then each frame scaled to its old maximum. Parameters: PSSR,
    Fang et al., Nature Methods 18, 406 (2021), and its code (github.com/BPHO-Salk/PSSR).

    Args:
        strength: variance where the blurred frame is 1.
        sigma_px: blur of the brightness.
        salt: share of white pixels.
        pepper: share of black pixels.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "changed"
    strength: Setting = 0.5
    sigma_px: float = 5.0
    salt: Setting = 0.005
    pepper: Setting = 0.005

    def __post_init__(self) -> None:
        LocalVariance(self.strength, self.sigma_px)
        SaltPepper(self.salt, self.pepper)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The noisy frames, each with the maximum that it had."""
        noisy = LocalVariance(self.strength, self.sigma_px)(frames, rng).clamp(0, 1)
        noisy = SaltPepper(self.salt, self.pepper)(noisy, rng)
        top = noisy.amax((-2, -1), keepdim=True).clamp(min=1e-6)
        return noisy * (frames.amax((-2, -1), keepdim=True) / top)


@dataclass(frozen=True)
class Quantize:
    """An analog-to-digital converter.

    Args:
        bits: of it; 2 to the power of bits levels from 0 to full scale.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "kept"
    bits: Setting = 12

    def __post_init__(self) -> None:
        check_between("quantize.bits", self.bits, 1, 24)

    def __call__(self, frames: Frames) -> Frames:
        """The frames, rounded to the levels and clipped to 0..1."""
        levels = 2 ** each(self.bits, frames).round() - 1
        return (frames.clamp(0, 1) * levels).round() / levels


@dataclass(frozen=True)
class Saturate:
    """A detector that is full.

    Args:
        level: at which it is, as a share of full scale.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "lowered where bright"
    level: Setting = 1.0

    def __post_init__(self) -> None:
        check_above("saturate.level", self.level, 0)

    def __call__(self, frames: Frames) -> Frames:
        """The frames, nowhere above the level or below 0."""
        return torch.minimum(frames.clamp(min=0), each(self.level, frames))


def _normal(frames: Frames, rng: torch.Generator) -> Frames:
    return torch.randn(frames.shape, generator=rng, device=frames.device, dtype=frames.dtype)


NOISE: dict[str, Callable[..., Callable[..., Tensor]]] = {
    "poisson": Poisson, "gaussian": Gaussian, "offset": Offset, "salt_pepper": SaltPepper,
    "local_variance": LocalVariance, "pssr_noise": PssrNoise, "quantize": Quantize, "saturate": Saturate,
}  # fmt: skip

"""What a worse microscope does to light before it is counted: blur and coarser sampling."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.crappify.settings import Setting, check_above, settled
from pssr.errors import ConfigError

Frames = Float[Tensor, "n f h w"]
Axes = Literal["yx", "y", "x"]


@dataclass(frozen=True)
class Blur:
    """A Gaussian point-spread function; the mean is preserved.

    Args:
        sigma_px: standard deviation in high-resolution pixels; 0 does nothing.
    """

    sigma_px: Setting = 1.0

    def __post_init__(self) -> None:
        check_above("blur.sigma_px", self.sigma_px, 0, allow_equal=True)

    def __call__(self, frames: Frames) -> Frames:
        """The blurred frames; beyond the border the border pixel repeats.

        Args:
            frames: (N, F, H, W), any range.
        """
        n, f, h, w = frames.shape
        sigma = torch.as_tensor(settled(self.sigma_px), dtype=frames.dtype, device=frames.device).reshape(-1)
        radius = math.ceil(3 * float(sigma.max()))
        if radius == 0:
            return frames
        offsets = torch.arange(-radius, radius + 1, dtype=frames.dtype, device=frames.device)
        kernel = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).expand(n, -1).repeat_interleave(f, 0)
        padded = functional.pad(frames.reshape(1, n * f, h, w), (radius,) * 4, mode="replicate")
        along_x = functional.conv2d(padded, kernel[:, None, None, :], groups=n * f)
        return functional.conv2d(along_x, kernel[:, None, :, None], groups=n * f).reshape(n, f, h, w)


@dataclass(frozen=True)
class Bin:
    """Dwell-time integration: each low-resolution pixel is the mean of the pixels it covers.

    Args:
        factor: pixels per low-resolution pixel along each axis; None is the scale of the run.
        axes: "yx", or one of them: a line scanner integrates along x alone.
    """

    factor: int | None = None
    axes: Axes = "yx"

    def __post_init__(self) -> None:
        check_factor("bin.factor", self.factor)

    def __call__(self, frames: Frames) -> Float[Tensor, "n f low_h low_w"]:
        """(N, F, H, W) to (N, F, H / factor, W / factor); the mean is preserved exactly."""
        return functional.avg_pool2d(frames, steps_yx(self.factor, self.axes))


@dataclass(frozen=True)
class Subsample:
    """Point sampling: the spot visits only the centre of each low-resolution pixel, and skips the rest.

    For an even factor the centre lies between pixels; the two nearest are averaged, so that the
    result lies exactly where `Bin` would put it.

    Args:
        factor: pixels per low-resolution pixel along each axis; None is the scale of the run.
        axes: "yx", or one of them: a line scanner skips along y and integrates along x.
    """

    factor: int | None = None
    axes: Axes = "yx"

    def __post_init__(self) -> None:
        check_factor("subsample.factor", self.factor)

    def __call__(self, frames: Frames) -> Float[Tensor, "n f low_h low_w"]:
        """(N, F, H, W) to (N, F, H / factor, W / factor); aliasing included, as in the microscope."""
        for dim, factor in zip((-2, -1), steps_yx(self.factor, self.axes), strict=True):
            length = frames.shape[dim] // factor * factor
            before, after = ((factor - 1) // 2, factor // 2)
            picks = [frames.narrow(dim, k, length - k) for k in (before, after)]
            step = [slice(None)] * (4 + dim) + [slice(None, None, factor)]
            frames = (picks[0][tuple(step)] + picks[1][tuple(step)]) / 2
        return frames


def check_factor(name: str, factor: object) -> None:
    """Refuse a factor that is no whole number of pixels."""
    if factor is not None and (not isinstance(factor, int) or factor < 1):
        raise ConfigError(f"{name}: {factor} is not a whole number of pixels; use 1, 2, 3, 4 or 8")


def steps_yx(factor: int | None, axes: Axes) -> tuple[int, int]:
    """The factor along y and along x."""
    factor = factor or 1
    return (factor if "y" in axes else 1, factor if "x" in axes else 1)


OPTICS: dict[str, Callable[..., Callable[..., Tensor]]] = {"blur": Blur, "bin": Bin, "subsample": Subsample}

"""What a worse microscope does to light before it is counted: blur and coarser sampling."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.crappify.settings import WHOLE, Setting, check_above, each
from pssr.errors import ConfigError
from pssr.io.open import open_stack

Frames = Float[Tensor, "n f h w"]
Axes = Literal["yx", "y", "x"]
Psf: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Blur:
    """A point-spread function, Gaussian or given; the mean is preserved.

    Args:
        sigma_px: standard deviation in high-resolution pixels; 0 does nothing.
        sigma_um: standard deviation in micrometres, instead; needs `pixel_size_um`.
        pixel_size_um: of the high-resolution frames.
        psf: the function itself instead, as rows of numbers of odd lengths, or the name of a TIFF file that holds them.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "kept"
    sigma_px: Setting | None = None
    sigma_um: Setting | None = None
    pixel_size_um: float | None = None
    psf: Psf | str | None = field(default=None, metadata=WHOLE)

    def __post_init__(self) -> None:
        given = [name for name in ("sigma_px", "sigma_um", "psf") if getattr(self, name) is not None]
        if not given:
            object.__setattr__(self, "sigma_px", 1.0)
        if len(given) > 1 or (self.sigma_um is not None) != (self.pixel_size_um is not None):
            raise ConfigError(
                f"blur: {' and '.join(given) or 'pixel_size_um'} will not do; give sigma_px, or sigma_um and "
                "pixel_size_um, or psf"
            )
        for name in ("sigma_px", "sigma_um"):
            if getattr(self, name) is not None:
                check_above(f"blur.{name}", getattr(self, name), 0, allow_equal=True)
        if self.pixel_size_um is not None:
            check_above("blur.pixel_size_um", self.pixel_size_um, 0)
        if self.psf is not None:
            object.__setattr__(self, "psf", checked_psf(self.psf))

    def __call__(self, frames: Frames) -> Frames:
        """The blurred frames; beyond the border the border pixel repeats.

        Args:
            frames: (N, F, H, W), any range.
        """
        n, f, h, w = frames.shape
        if self.psf is not None:
            kernel = torch.tensor(self.psf, dtype=frames.dtype, device=frames.device)
            y, x = (side // 2 for side in kernel.shape)
            padded = functional.pad(frames.reshape(n * f, 1, h, w), (x, x, y, y), mode="replicate")
            return functional.conv2d(padded, kernel.flip(0, 1)[None, None]).reshape(n, f, h, w)
        sigma = self._sigma(frames)
        radius = math.ceil(3 * float(sigma.max()))
        if radius == 0:
            return frames
        offsets = torch.arange(-radius, radius + 1, dtype=frames.dtype, device=frames.device)
        kernel = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).expand(n, -1).repeat_interleave(f, 0)
        padded = functional.pad(frames.reshape(1, n * f, h, w), (radius,) * 4, mode="replicate")
        along_x = functional.conv2d(padded, kernel[:, None, None, :], groups=n * f)
        return functional.conv2d(along_x, kernel[:, None, :, None], groups=n * f).reshape(n, f, h, w)

    def _sigma(self, frames: Frames) -> Float[Tensor, " n_or_1"]:
        """In pixels."""
        if self.sigma_um is None:
            assert self.sigma_px is not None
            return each(self.sigma_px, frames).flatten()
        assert self.pixel_size_um is not None
        return each(self.sigma_um, frames).flatten() / self.pixel_size_um


@dataclass(frozen=True)
class Bin:
    """Dwell-time integration: each low-resolution pixel is the mean of the pixels it covers.

    Args:
        factor: pixels per low-resolution pixel along each axis; None is the scale of the run.
        axes: "yx", or one of them: a line scanner integrates along x alone.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "kept"
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

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "kept"
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


@dataclass(frozen=True)
class Resize:
    """Resampling as image programs do it.

    Args:
        factor: pixels per low-resolution pixel along each axis; None is the scale of the run.
        kernel: "nearest", "bilinear", "bicubic" or "area".
        antialias: whether the kernel widens with the factor, as in Pillow; without it, bilinear resampling to a quarter
            keeps a quarter of the variance of white noise instead of 2.7 %.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "nearly kept"
    factor: int | None = None
    kernel: Literal["nearest", "bilinear", "bicubic", "area"] = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        check_factor("resize.factor", self.factor)
        if self.kernel not in ("nearest", "bilinear", "bicubic", "area"):
            raise ConfigError(
                f"resize.kernel: {self.kernel!r} is none of nearest, bilinear, bicubic and area; use one"
            )

    def __call__(self, frames: Frames) -> Float[Tensor, "n f low_h low_w"]:
        """(N, F, H, W) to (N, F, H / factor, W / factor)."""
        size = [side // (self.factor or 1) for side in frames.shape[-2:]]
        if self.kernel == "nearest":
            return functional.interpolate(frames, size, mode="nearest-exact")
        if self.kernel == "area":
            return functional.interpolate(frames, size, mode="area")
        return functional.interpolate(
            frames, size, mode=self.kernel, antialias=self.antialias, align_corners=False
        )


def checked_psf(psf: "Psf | str") -> "Psf":
    """A point-spread function as rows that sum to 1.

    Args:
        psf: rows, or the name of a TIFF file of one plane.

    Raises:
        ConfigError: not a rectangle of odd sides, negative, or empty of light.
    """
    rows = np.asarray(open_stack(psf).plane() if isinstance(psf, str) else psf, dtype=np.float64)
    if rows.ndim != 2 or not all(side % 2 for side in rows.shape):
        raise ConfigError(
            f"blur.psf: is {rows.shape}, not a rectangle of odd sides; cut it so that its peak is central"
        )
    if not np.isfinite(rows).all() or rows.min() < 0 or rows.sum() <= 0:
        raise ConfigError("blur.psf: has negative values, or no light at all; subtract its background")
    return tuple(map(tuple, (rows / rows.sum()).tolist()))


def check_factor(name: str, factor: object) -> None:
    """Refuse a factor that is no whole number of pixels."""
    if factor is not None and (not isinstance(factor, int) or factor < 1):
        raise ConfigError(f"{name}: {factor} is not a whole number of pixels; use 1, 2, 3, 4 or 8")


def steps_yx(factor: int | None, axes: Axes) -> tuple[int, int]:
    """The factor along y and along x."""
    factor = factor or 1
    return (factor if "y" in axes else 1, factor if "x" in axes else 1)


OPTICS: dict[str, Callable[..., Callable[..., Tensor]]] = {
    "blur": Blur,
    "bin": Bin,
    "subsample": Subsample,
    "resize": Resize,
}

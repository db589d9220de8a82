"""What a moving spot, a moving specimen and bleaching do. Frames are (N, F, H, W); lines run along x."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.crappify.optics import check_factor
from pssr.crappify.settings import Setting, check_above, check_between, each, settled

Frames = Float[Tensor, "n f h w"]


@dataclass(frozen=True)
class LineJitter:
    """Each line begins a little too early or too late, each time anew.

    Args:
        sd_px: standard deviation of the shift along x, in pixels of the frames as they are at this step, times `factor`.
        factor: 1, or null for the scale of the run: then `sd_px` counts low-resolution pixels before they are binned.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "kept"
    sd_px: Setting = 0.3
    factor: int | None = 1

    def __post_init__(self) -> None:
        check_above("line_jitter.sd_px", self.sd_px, 0, allow_equal=True)
        check_factor("line_jitter.factor", self.factor)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The frames with shifted lines; beyond the border the border pixel repeats."""
        n, f, h, _ = frames.shape
        shift = torch.randn((n, f, h, 1), generator=rng, device=frames.device, dtype=frames.dtype)
        return _along_x(frames, _columns(frames) + settled(self.sd_px) * (self.factor or 1) * shift)


@dataclass(frozen=True)
class Flyback:
    """The spot is still turning round at the beginning of a line: structure there is drawn out.

    Args:
        shift_px: how far the first pixel is from where it should be.
        decay_px: over how many pixels the shift falls to a third (1 / e).
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "changed at the edge"
    shift_px: Setting = 4.0
    decay_px: float = 8.0

    def __post_init__(self) -> None:
        check_above("flyback.shift_px", self.shift_px, 0, allow_equal=True)
        check_above("flyback.decay_px", self.decay_px, 0)

    def __call__(self, frames: Frames) -> Frames:
        """The frames with the left edge drawn out."""
        columns = _columns(frames)
        shift = each(self.shift_px, frames) * torch.exp(-columns / self.decay_px)
        return _along_x(frames, (columns + shift).expand(frames.shape[0], -1, -1, -1))


@dataclass(frozen=True)
class Drift:
    """The specimen moves between the frames of a bundle; the middle frame stays where it is.

    Args:
        step_px: standard deviation of the step from frame to frame, along y and along x.
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "kept"
    step_px: Setting = 0.5

    def __post_init__(self) -> None:
        check_above("drift.step_px", self.step_px, 0, allow_equal=True)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The frames, each shifted as a whole; beyond the border the border pixel repeats."""
        n, f, h, w = frames.shape
        steps = torch.randn((n, f, 2, 1), generator=rng, device=frames.device, dtype=frames.dtype)
        path = (steps * settled(self.step_px)).cumsum(1).squeeze(-1)
        path = (path - path[:, f // 2 : f // 2 + 1]).reshape(n * f, 2)
        # Where each pixel comes from, in the units of grid_sample: -1 to 1 from border to border.
        scale = torch.tensor([2 / w, 2 / h], dtype=frames.dtype, device=frames.device)
        still = torch.eye(2, dtype=frames.dtype, device=frames.device).expand(n * f, 2, 2)
        matrix = torch.cat([still, (path.flip(-1) * scale)[..., None]], -1)
        grid = functional.affine_grid(matrix, [n * f, 1, h, w], align_corners=False)
        moved = functional.grid_sample(
            frames.reshape(n * f, 1, h, w), grid, padding_mode="border", align_corners=False
        )
        return moved.reshape(n, f, h, w)


@dataclass(frozen=True)
class Banding:
    """Lines that are brighter or darker than they should be, as the light flickers.

    Args:
        sigma: standard deviation of a line's brightness, as a share of it.
        lines: over how many lines the brightness stays alike (1 / e).
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "kept"
    sigma: Setting = 0.05
    lines: float = 1.0

    def __post_init__(self) -> None:
        check_above("banding.sigma", self.sigma, 0, allow_equal=True)
        check_above("banding.lines", self.lines, 0)

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The frames, each line multiplied by about 1."""
        n, f, h, _ = frames.shape
        radius = math.ceil(4 * self.lines)
        white = torch.randn((n * f, 1, h + radius), generator=rng, device=frames.device, dtype=frames.dtype)
        kernel = torch.exp(-torch.arange(radius + 1, dtype=frames.dtype, device=frames.device) / self.lines)
        kernel = (kernel / kernel.square().sum().sqrt()).flip(0)
        light = functional.conv1d(white, kernel[None, None]).reshape(n, f, h, 1)
        return frames * (1 + settled(self.sigma) * light)


@dataclass(frozen=True)
class Bleaching:
    """Each frame is darker than the one before; the middle one keeps its brightness.

    Args:
        loss: share of the brightness lost from frame to frame.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "kept in the middle frame"
    loss: Setting = 0.02

    def __post_init__(self) -> None:
        check_between("bleaching.loss", self.loss, 0, 0.9)

    def __call__(self, frames: Frames) -> Frames:
        """The frames, earlier ones brighter and later ones darker."""
        f = frames.shape[1]
        number = torch.arange(f, dtype=frames.dtype, device=frames.device).reshape(1, f, 1, 1) - f // 2
        return frames * (1 - each(self.loss, frames)) ** number


@dataclass(frozen=True)
class Response:
    """A detector that has not forgotten the pixel before: noise is alike along the line.

    Args:
        correlation: of the noise of neighbouring pixels along x, 0 to below 1.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "kept"
    correlation: Setting = 0.3

    def __post_init__(self) -> None:
        check_between("response.correlation", self.correlation, 0, 0.95)

    def __call__(self, frames: Frames) -> Frames:
        """The frames after a one-pole filter along x; before the line the first pixel repeats."""
        n, f, h, w = frames.shape
        share = each(self.correlation, frames)
        largest = float(share.max())
        if largest == 0:
            return frames
        # Beyond this the pole has fallen below a thousandth.
        reach = min(math.ceil(math.log(1e-3) / math.log(largest)), 4 * w)
        power = torch.arange(reach, -1, -1, dtype=frames.dtype, device=frames.device)
        kernel = share.reshape(-1, 1) ** power
        kernel = (kernel / kernel.sum(1, keepdim=True)).expand(n, -1).repeat_interleave(f, 0)
        padded = functional.pad(frames.reshape(1, n * f, h, w), (reach, 0, 0, 0), mode="replicate")
        return functional.conv2d(padded, kernel[:, None, None, :], groups=n * f).reshape(n, f, h, w)


def _columns(frames: Frames) -> Float[Tensor, "1 1 1 w"]:
    return torch.arange(frames.shape[-1], dtype=frames.dtype, device=frames.device).reshape(1, 1, 1, -1)


def _along_x(frames: Frames, at: Float[Tensor, "n #f #h w"]) -> Frames:
    """The frames read at other columns, between two by their mean."""
    at = at.expand(frames.shape).clamp(0, frames.shape[-1] - 1)
    left = at.floor().long()
    right = (left + 1).clamp(max=frames.shape[-1] - 1)
    share = at - left
    return frames.gather(-1, left) * (1 - share) + frames.gather(-1, right) * share


SCANNING: dict[str, Callable[..., Callable[..., Tensor]]] = {
    "line_jitter": LineJitter, "flyback": Flyback, "drift": Drift, "banding": Banding, "bleaching": Bleaching,
    "response": Response,
}  # fmt: skip

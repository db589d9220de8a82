"""Held-back frames, made bad once, restored again and again while the network learns."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.crappify.chain import Crappifier
from pssr.data.patches import Patches
from pssr.metrics import psnr, ssim
from pssr.networks import Generator
from pssr.pictures import Panel, row_of
from pssr.training.steps import beside_real, repeated_alike

EXAMPLES = 8
LARGEST_PX = 256
WINDOW_PX = 11  # side of the window that SSIM looks through
WHITE, GAMMA = 1.1, 0.7  # of the sample picture; the usual gamma of pictures
ROUND = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # scales of the difference


@dataclass(frozen=True)
class Held:
    """What validation looks at, the same every time.

    Args:
        low: crappified bundles (N, F, h, w), or real ones where there are any.
        second: crappified once more, other noise alone.
        good: their middle frames (N, 1, H, W).
        bicubic: the middle low frames enlarged.
        pixel_size_um: of the good frames; None where unknown.
    """

    low: Float[Tensor, "n f low_h low_w"]
    second: Float[Tensor, "n f low_h low_w"]
    good: Float[Tensor, "n 1 h w"]
    bicubic: Float[Tensor, "n 1 h w"]
    pixel_size_um: float | None

    @property
    def bicubic_psnr(self) -> float:
        """The score to beat."""
        return _score(self.bicubic, self.good)


@dataclass(frozen=True)
class Validation:
    """How well the held-back frames are restored.

    Args:
        psnr: dB at full scale 1.
        ssim: structural similarity, 1 where all is equal; not a number where the frames are smaller than its window.
        difference: mean of |M(X1) - M(X2)| over all pixels, full scale 1: X1 and X2 are two draws of the crappifier, or a
            real frame and a draw where there are real ones.
        picture: the PNG: low, bicubic, restored, high, and the difference on a scale of its own.
    """

    psnr: float
    ssim: float
    difference: float
    picture: bytes


def hold(patches: Patches, crappifier: Crappifier, rng: torch.Generator, pixel_size_um: float | None) -> Held:
    """Cut the validation examples and crappify them twice, as a training step does.

    Real low-resolution partners take the place of the first draw; then the two differ in more than their noise.

    Args:
        patches: of the held-back pieces.
        crappifier: of the run.
        rng: the same in every run with this seed, on the CPU.
        pixel_size_um: of the good frames.
    """
    good, *real = (
        torch.from_numpy(np.stack(p)) for p in zip(*(patches[k] for k in range(EXAMPLES)), strict=True)
    )
    first, second = repeated_alike(crappifier.two_draws(good, rng), good)
    low = beside_real(first, real[0] if real else None)
    middle = slice(good.shape[1] // 2, good.shape[1] // 2 + 1)
    return Held(low, second, good[:, middle], bicubic(low[:, middle], crappifier.scale), pixel_size_um)


def bicubic(low: Float[Tensor, "n 1 low_h low_w"], scale: int) -> Float[Tensor, "n 1 h w"]:
    """Enlargement by bicubic interpolation, the baseline."""
    return functional.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)


@torch.inference_mode()
def validate(net: Generator, held: Held, device: torch.device) -> Validation:
    """Restore both bad copies of the examples, and draw the one with most structure.

    Args:
        net: restores; in evaluation mode.
        held: the examples.
        device: where the network is.
    """
    restored, other = (
        torch.cat([net(low[None].to(device)).float().cpu() for low in lows])
        for lows in (held.low, held.second)
    )
    return Validation(
        psnr=_score(restored, held.good),
        ssim=_likeness(restored, held.good),
        difference=float((restored - other).abs().mean(dtype=torch.float64)),
        picture=_sample(held, restored, other),
    )


def _score(restored: Tensor, good: Tensor) -> float:
    return psnr(restored.numpy(), good.numpy(), data_range=1.0)


def _likeness(restored: Tensor, good: Tensor) -> float:
    if min(good.shape[-2:]) < WINDOW_PX:
        return math.nan
    return ssim(list(restored[:, 0].numpy()), list(good[:, 0].numpy()), data_range=1.0)


def _sample(held: Held, restored: Tensor, other: Tensor) -> bytes:
    """Low, bicubic, restored, high and the difference of two restored, of the example with most structure."""
    k = int(held.good.flatten(1).std(1).argmax())
    low, good = held.low[k, held.low.shape[1] // 2], held.good[k, 0]
    panels = [Panel("low", low.numpy())]
    for title, plane in (("bicubic", held.bicubic[k, 0]), ("restored", restored[k, 0])):
        panels.append(Panel(title, plane.numpy(), f"{_score(plane, good):.1f} dB"))
    panels += [Panel("high", good.numpy()), _difference(held, k, restored[k, 0] - other[k, 0])]
    side_px = max(1, LARGEST_PX // good.shape[0]) * good.shape[0]
    return row_of(panels, low=0.0, high=WHITE, side_px=side_px, pixel_size_um=held.pixel_size_um)


def _difference(held: Held, k: int, difference: Tensor) -> Panel:
    """Of two restored frames: grey where they are equal, black and white at the ends of its scale.

    The scale is that of the two frames enlarged by bicubic interpolation, so that it stays the same while the network
    learns.
    """
    middle = slice(held.low.shape[1] // 2, held.low.shape[1] // 2 + 1)
    scale = held.good.shape[-1] // held.low.shape[-1]
    before = held.bicubic[k] - bicubic(held.second[k : k + 1, middle], scale)[0]
    end = next((end for end in ROUND if end >= 2 * float(before.std())), ROUND[-1])
    unit = (0.5 + difference / (2 * end)).clamp(0, 1)
    # The row is drawn on the scale and gamma of frames; this undoes both.
    note = f"two draws, +-{end:g}"
    return Panel("difference", (WHITE * unit ** (1 / GAMMA)).numpy(), note)

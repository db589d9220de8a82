"""Held-back frames, made bad once, restored again and again while the network learns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.crappify.chain import Crappifier
from pssr.data.patches import Patches
from pssr.metrics import psnr
from pssr.networks import Generator
from pssr.pictures import Panel, row_of
from pssr.training.steps import beside_real, repeated_alike

EXAMPLES = 8
LARGEST_PX = 256


@dataclass(frozen=True)
class Held:
    """What validation looks at, the same every time.

    Args:
        low: crappified bundles (N, F, h, w), or real ones where there are any.
        good: their middle frames (N, 1, H, W).
        bicubic: the middle low frames enlarged.
        pixel_size_um: of the good frames; None where unknown.
    """

    low: Float[Tensor, "n f low_h low_w"]
    good: Float[Tensor, "n 1 h w"]
    bicubic: Float[Tensor, "n 1 h w"]
    pixel_size_um: float | None

    @property
    def bicubic_psnr(self) -> float:
        """The score to beat."""
        return _score(self.bicubic, self.good)


def hold(patches: Patches, crappifier: Crappifier, rng: torch.Generator, pixel_size_um: float | None) -> Held:
    """Cut and crappify the validation examples.

    Args:
        patches: of the held-back pieces.
        crappifier: of the run.
        rng: the same in every run with this seed, on the CPU.
        pixel_size_um: of the good frames.
    """
    good, *real = (
        torch.from_numpy(np.stack(p)) for p in zip(*(patches[k] for k in range(EXAMPLES)), strict=True)
    )
    low = beside_real(repeated_alike(crappifier(good, rng), good), real[0] if real else None)
    middle = slice(good.shape[1] // 2, good.shape[1] // 2 + 1)
    return Held(low, good[:, middle], bicubic(low[:, middle], crappifier.scale), pixel_size_um)


def bicubic(low: Float[Tensor, "n 1 low_h low_w"], scale: int) -> Float[Tensor, "n 1 h w"]:
    """Enlargement by bicubic interpolation, the baseline."""
    return functional.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)


@torch.inference_mode()
def validate(net: Generator, held: Held, device: torch.device) -> tuple[float, bytes]:
    """The PSNR of the restored examples, and a sample picture of the first with structure.

    Args:
        net: restores; in evaluation mode.
        held: the examples.
        device: where the network is.

    Returns:
        dB at full scale 1, and the PNG.
    """
    restored = torch.cat([net(low[None].to(device)).float().cpu() for low in held.low])
    return _score(restored, held.good), _sample(held, restored)


def _score(restored: Tensor, good: Tensor) -> float:
    return psnr(restored.numpy(), good.numpy(), data_range=1.0)


def _sample(held: Held, restored: Tensor) -> bytes:
    """Low, bicubic, restored and high of the example with most structure."""
    k = int(held.good.flatten(1).std(1).argmax())
    low = held.low[k, held.low.shape[1] // 2]
    planes: Sequence[Tensor] = (low, held.bicubic[k, 0], restored[k, 0], held.good[k, 0])
    titles = ("low", "bicubic", "restored", "high")
    notes = ["", *(f"{_score(p, held.good[k, 0]):.1f} dB" for p in planes[1:3]), ""]
    panels = [Panel(t, p.numpy(), n) for t, p, n in zip(titles, planes, notes, strict=True)]
    return row_of(panels, low=0.0, high=1.1, side_px=320, pixel_size_um=held.pixel_size_um)

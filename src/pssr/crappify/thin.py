"""Do thin structures survive a crappifier? One that buries them teaches a network to erase them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.crappify.chain import Crappifier

WIDTHS_PX = (1, 2, 3, 4)  # of filaments, in high-resolution pixels
LIGHT, BACKGROUND = 0.5, 0.1  # of a filament and beside it, as shares of full scale
DRAWS, APART_PX = 24, 16
# Rose's criterion, a signal five times the noise, for an observer who takes ten pixels along a filament together.
DETECTABLE = 5 / 10**0.5


def contrast_to_noise(
    crappifier: Crappifier, *, widths_px: Sequence[int] = WIDTHS_PX, seed: int = 0
) -> dict[int, float]:
    """How far filaments rise above the noise of one low-resolution pixel after a crappifier.

    Vertical and horizontal filaments at every position between the low-resolution pixels, half as bright as full scale; the
    worse of both directions counts, as a scanner samples them differently.

    Args:
        crappifier: makes the phantom bad.
        widths_px: of the filaments, in high-resolution pixels.
        seed: of the noise.

    Returns:
        For each width the contrast of its brightest pixel over the standard deviation of the noise there.
    """
    return {
        width: min(_one(crappifier, width, across, seed) for across in (True, False)) for width in widths_px
    }


def _one(crappifier: Crappifier, width: int, across: bool, seed: int) -> float:
    scale = crappifier.scale
    phantom, starts = _phantom(width, scale)
    frames = phantom if across else phantom.transpose(-1, -2)
    rng = torch.Generator().manual_seed(seed)
    low = crappifier(frames.expand(DRAWS, 1, -1, -1).contiguous(), rng)[:, 0]
    low = low if across else low.transpose(-1, -2)
    mean, noise = low.mean((0, 1)), low.std((0, 1))
    reach = max(1, width // scale + 1)
    found = []
    for start in starts:
        middle = (start + width // 2) // scale
        near = slice(max(middle - reach, 0), middle + reach + 1)
        peak = int(mean[near].argmax()) + near.start
        beside = (start + APART_PX * scale // 2) // scale % len(mean)
        found.append(float((mean[peak] - mean[beside]) / noise[peak].clamp(min=1e-9)))
    return sum(found) / len(found)


def _phantom(width: int, scale: int) -> tuple[Float[Tensor, "1 1 h w"], list[int]]:
    """Vertical filaments, each one pixel further from the low-resolution grid than the one before."""
    count = max(scale, 4)
    side = (count + 1) * APART_PX * scale
    starts = [(k + 1) * APART_PX * scale + k % scale for k in range(count)]
    phantom = torch.full((1, 1, side, side), BACKGROUND)
    for start in starts:
        phantom[..., start : start + width] = LIGHT
    return phantom, starts

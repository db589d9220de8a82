"""How good a model is on good frames that it has not seen: make them bad, restore, compare with the truth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Num
from torch.nn import functional

from pssr.crappify.chain import Crappifier
from pssr.data.intensity import Intensity
from pssr.metrics import band_energy, flicker, psnr, ssim

Restore = Callable[[np.ndarray], np.ndarray]
STILL_FRAMES = 12


@dataclass(frozen=True)
class Scores:
    """How near a restored movie is to the truth, and how steady.

    Args:
        psnr_db: higher is better; full scale is the truth's 1 to 99.8 % range.
        ssim: structural similarity, 1 is equal.
        flicker: temporal standard deviation on a still scene under fresh noise, share of full scale.
        texture: energy from half the low-resolution Nyquist frequency up to it, as a share of the
            truth's: below 1 smoothed away, above 1 invented or noise.
    """

    psnr_db: float
    ssim: float
    flicker: float
    texture: float


def acquire(
    movie: Num[np.ndarray, "t y x"], crappifier: Crappifier, scale: Intensity, rng: torch.Generator
) -> Num[np.ndarray, "t low_y low_x"]:
    """A low-resolution acquisition of a good movie, in the same units and dtype.

    Args:
        movie: good frames.
        crappifier: the worse microscope; settings are drawn once for the whole movie.
        scale: of the good movie, which says what 1 is.
        rng: every draw comes from here.
    """
    s = crappifier.scale
    h, w = (side // s * s for side in movie.shape[1:])
    unit = torch.from_numpy(scale.to_unit(movie[:, :h, :w]))[None]
    return scale.from_unit(crappifier(unit, rng)[0].numpy(), movie.dtype)


def bicubic(low: Num[np.ndarray, "t low_y low_x"], scale: int) -> Num[np.ndarray, "t y x"]:
    """The baseline: each frame enlarged by bicubic interpolation, in its own dtype."""
    x = torch.from_numpy(low.astype(np.float32))[:, None]
    large = functional.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    return Intensity(0.0, 1.0).from_unit(large[:, 0].numpy(), low.dtype)


def score(
    restore: Restore,
    movie: Num[np.ndarray, "t y x"],
    low: Num[np.ndarray, "t low_y low_x"],
    still: Num[np.ndarray, "still_t still_y still_x"],
    scale: Intensity,
) -> Scores:
    """All scores of one way to restore.

    Args:
        restore: a low-resolution movie to a restored one in the same units.
        movie: the truth of `low`.
        low: the acquisition to restore.
        still: an acquisition of a scene that does not move, noise fresh in every frame.
        scale: full scale of the truth.
    """
    restored, span = restore(low), scale.high - scale.low
    factor = restored.shape[1] // low.shape[1]
    ends = (len(movie) - len(restored)) // 2  # a model may drop first and last frames
    truth = movie[ends : len(movie) - ends, : restored.shape[1], : restored.shape[2]]
    return Scores(
        psnr_db=psnr(restored, truth, data_range=span),
        ssim=ssim(list(restored), list(truth), data_range=span),
        flicker=flicker(restore(still), data_range=span),
        texture=band_energy(restored, truth, low=1 / (4 * factor), high=1 / (2 * factor)),
    )

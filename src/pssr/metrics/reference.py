"""Measures that need the truth."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Num
from skimage.metrics import structural_similarity


def psnr(
    restored: Num[np.ndarray, "*shape"], truth: Num[np.ndarray, "*shape"], *, data_range: float
) -> float:
    """Peak signal-to-noise ratio in dB over all pixels together: 10 log10(range^2 / mean squared error).

    Args:
        restored: any shape.
        truth: same shape and units.
        data_range: full scale in those units; infinity dB where both are equal.
    """
    error = np.mean((restored.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(
    restored: Sequence[Num[np.ndarray, "y x"]], truth: Sequence[Num[np.ndarray, "y x"]], *, data_range: float
) -> float:
    """Structural similarity, the mean over the planes; 1 is equal.

    Gaussian window of sigma 1.5 over 11 pixels, as in Wang et al. 2004.

    Args:
        restored: planes.
        truth: the same number of planes, same units.
        data_range: full scale in those units.
    """
    return float(
        np.mean([
            structural_similarity(
                a.astype(np.float64), b.astype(np.float64),
                data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            )
            for a, b in zip(restored, truth, strict=True)
        ])
    )  # fmt: skip

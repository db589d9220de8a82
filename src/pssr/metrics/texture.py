"""Measures of fine structure."""

import numpy as np
from jaxtyping import Num
from scipy.fft import fft2, fftfreq
from scipy.signal.windows import tukey


def band_energy(
    restored: Num[np.ndarray, "t y x"], truth: Num[np.ndarray, "t y x"], *, low: float, high: float
) -> float:
    """Spectral energy of the restored movie in a band, as a share of the truth's.

    Below 1 fine structure was smoothed away; above 1 it was invented, or is noise.

    Args:
        restored: planes.
        truth: the same planes.
        low: lower edge of the band in cycles per pixel.
        high: upper edge; 0.5 is the finest the pixels can hold.
    """
    return _energy(restored, low, high) / _energy(truth, low, high)


def _energy(planes: Num[np.ndarray, "t y x"], low: float, high: float) -> float:
    _, h, w = planes.shape
    # A window that fades the borders, or the jump across them would count as fine structure.
    window = np.outer(tukey(h, 0.25), tukey(w, 0.25))
    frequency = np.hypot(fftfreq(h)[:, None], fftfreq(w))
    band = (frequency >= low) & (frequency < high)
    return float(
        sum((abs(fft2((p - p.mean()) * window)[band]) ** 2).sum() for p in planes.astype(np.float64))
    )

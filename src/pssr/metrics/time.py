"""Measures along time."""

import numpy as np
from jaxtyping import Num


def flicker(still: Num[np.ndarray, "t y x"], *, data_range: float) -> float:
    """How much the restored value of a still scene changes from frame to frame under fresh noise.

    Args:
        still: the restored movie of a scene that does not move.
        data_range: full scale in the same units.

    Returns:
        The temporal standard deviation, averaged over pixels, as a share of full scale; 0 is perfectly steady.
    """
    return float(still.astype(np.float64).std(axis=0).mean() / data_range)

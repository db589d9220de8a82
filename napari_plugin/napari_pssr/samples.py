"""Sample data: a simulated movie of tubules, sharp, and as a fast, gentle microscope would see it."""

from typing import Any

import numpy as np

from napari_pssr.layers import KEY, UNITS, Origin
from pssr import stack_of, tubules

FRAMES, SIDE_PX, SCALE, SEED = 24, 384, 4, 7
OFFSET, FULL = 200, 3000  # counts at 0 and above it at 1

LayerData = tuple[Any, dict[str, Any], str]


def high() -> list[LayerData]:
    """A sharp movie to train on: tubules that wander, bend, fuse and divide."""
    movie = tubules(frames=FRAMES, size_px=SIDE_PX, seed=SEED)
    return [_layer(movie.frames, "tubules high", movie.pixel_size_um, movie.interval_s, 1)]


def low() -> list[LayerData]:
    """Another such movie as it comes out of a fast, gentle scan: a quarter of the pixels along each side, and few photons."""
    # Imported here, as below: a menu that opens a sharp movie needs no torch.
    import torch

    from pssr import crappifier, preset

    movie = tubules(frames=FRAMES, size_px=SIDE_PX, seed=SEED + 1)
    make_bad = crappifier(preset("movie").crappifier, SCALE)
    frames = torch.from_numpy(np.asarray(movie.frames, np.float32))[None]
    bad = make_bad(frames, torch.Generator().manual_seed(SEED))[0].numpy()
    return [_layer(bad, "tubules low", movie.pixel_size_um * SCALE, movie.interval_s, SCALE)]


def _layer(frames: np.ndarray, name: str, pixel_size_um: float, interval_s: float, scale: int) -> LayerData:
    """In counts, with units; the coarse grid covers the same field as the fine one."""
    counts = np.rint(OFFSET + FULL * np.clip(frames, 0, 20)).astype(np.uint16)
    spacing = {"Y": pixel_size_um, "X": pixel_size_um}
    stack = stack_of(counts, axes="TYX", name=name, spacing_um=spacing, interval_s=interval_s)
    shift = pixel_size_um * (scale - 1) / (2 * scale)
    limits = np.percentile(counts[len(counts) // 2], (1, 99.8))
    words = {
        "name": name,
        "scale": (interval_s, pixel_size_um, pixel_size_um),
        "translate": (0.0, shift, shift),
        "units": [UNITS[axis] for axis in "TYX"],
        "axis_labels": ["t", "y", "x"],
        "contrast_limits": tuple(float(limit) for limit in limits),
        "metadata": {KEY: Origin(stack, 0, counts, "TYX")},
    }
    return [(counts, words, "image")][0]

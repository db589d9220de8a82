"""Look before you train: good frames, what the crappifier makes of them, and what the microscope gives."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import gaussian_filter

from pssr.crappify.chain import Crappifier
from pssr.crappify.figures import likeness_figure
from pssr.crappify.pair import SIGNAL_PERCENTS
from pssr.crappify.preview import likeness
from pssr.crappify.thin import DETECTABLE, contrast_to_noise
from pssr.data.intensity import Planes, measure
from pssr.errors import WriteError
from pssr.io.atomic import write_whole
from pssr.pictures import Panel, row_of

LOW_SIDE_PX, FRAMES, COMPARED_PX = 64, 9, 512


@dataclass(frozen=True)
class Picture:
    """A PNG that a notebook shows by itself.

    Args:
        png: its bytes.
        warnings: in words, what a person should know.
    """

    png: bytes
    warnings: tuple[str, ...] = ()

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write it to a file.

        Args:
            path: that ends in .png.
            overwrite: whether a file that is there may be replaced.

        Raises:
            WriteError: another ending, or a file is there.
        """
        if Path(path).suffix.lower() != ".png":
            raise WriteError(f"{path}: does not end in .png, which it is; choose another name")
        if Path(path).exists() and not overwrite:
            raise WriteError(
                f"{path}: exists already; choose another name, or say overwrite=True (--overwrite)"
            )
        write_whole(Path(path), self.png)
        return Path(path)


def previewed(
    movie: Planes, low: Planes | None, crappifier: Crappifier, *, t: int | None = None, seed: int = 0
) -> Picture:
    """The picture and the warnings of `pssr.preview`.

    Args:
        movie: good frames.
        low: real low-resolution frames, or None.
        crappifier: makes the good ones bad.
        t: which frame is shown; None takes the middle one.
        seed: of the noise.
    """
    scale, rng = crappifier.scale, torch.Generator().manual_seed(seed)
    middle = len(movie) // 2 if t is None else t % len(movie)
    first = min(max(middle - FRAMES // 2, 0), max(len(movie) - FRAMES, 0))
    good = np.stack([np.asarray(movie[k]) for k in range(first, min(first + FRAMES, len(movie)))])
    good = measure(good).to_unit(_centre(good, COMPARED_PX, scale))
    draws = crappifier.two_draws(torch.from_numpy(good)[None], rng)
    made, again = (draw[0].numpy() for draw in draws)
    shown = middle - first
    side = min(LOW_SIDE_PX, *made.shape[1:])
    panels = [
        Panel("made bad, draw 2", _centre(again[shown], side)),
        Panel("made bad, draw 1", _centre(made[shown], side)),
        Panel("good", _centre(good[shown], side * scale)),
    ]
    warnings = _thin(crappifier)
    size = getattr(getattr(movie, "stack", movie), "pixel_size_um", None)
    if low is None:
        return Picture(row_of(panels, low=0.0, high=1.1, pixel_size_um=size), warnings)
    real = _real(low)
    panels[0] = Panel("real", _centre(real[len(real) // 2], side))
    made = _on_own_scale(made)
    found = likeness(made, real)
    row = row_of(panels, low=0.0, high=1.1, pixel_size_um=size)
    return Picture(_stacked(row, likeness_figure(made, real)), (*found.warnings, *warnings))


def _thin(crappifier: Crappifier) -> tuple[str, ...]:
    """Whether filaments one pixel wide can still be seen."""
    rises = contrast_to_noise(crappifier)
    lost = [width for width, rise in rises.items() if rise < DETECTABLE]
    if not lost:
        return ()
    told = ", ".join(f"{width} px {rise:.1f}" for width, rise in rises.items())
    return (
        f"filaments {max(lost)} px wide and thinner sink into the noise (contrast over noise: {told}; {DETECTABLE:.1f} is "
        "needed): a network will learn to erase them; use less noise or blur",
    )


def _real(low: Planes) -> Float[np.ndarray, "t y x"]:
    """Real frames on the scale of their own signal."""
    first = max(len(low) - FRAMES, 0) // 2
    frames = [np.asarray(low[k], dtype=np.float32) for k in range(first, min(first + FRAMES, len(low)))]
    return _on_own_scale(_centre(np.stack(frames), COMPARED_PX))


def _on_own_scale(frames: Float[np.ndarray, "t y x"]) -> Float[np.ndarray, "t y x"]:
    """Blur and noise move the ends of a scale: frames are compared on the scale of what is in them without noise."""
    dark, bright = np.percentile(gaussian_filter(frames.mean(0), 1.0), SIGNAL_PERCENTS)
    return np.asarray((frames - dark) / max(bright - dark, 1e-6), dtype=np.float32)


def _centre(frames: np.ndarray, side: int, multiple: int = 1) -> np.ndarray:
    """The middle of each frame, its sides multiples of a number."""
    cut = [min(side, n) // multiple * multiple for n in frames.shape[-2:]]
    start = [(n - c) // 2 for n, c in zip(frames.shape[-2:], cut, strict=True)]
    return frames[..., start[0] : start[0] + cut[0], start[1] : start[1] + cut[1]]


def _stacked(above: bytes, below: bytes) -> bytes:
    """Two PNG pictures, one above the other, equally wide."""
    top, bottom = (Image.open(BytesIO(png)).convert("RGB") for png in (above, below))
    bottom = bottom.resize((top.width, round(bottom.height * top.width / bottom.width)))
    canvas = Image.new("RGB", (top.width, top.height + bottom.height))
    canvas.paste(top, (0, 0))
    canvas.paste(bottom, (0, top.height))
    out = BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()

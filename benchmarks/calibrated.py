"""Does a calibrated crappifier restore real pictures better than the usual one? Real pairs of one exposure and a mean of many.

`python benchmarks/calibrated.py FOLDER [STEPS]`: FOLDER/high and FOLDER/low hold files NAME_CHANNEL.tif of the same names. The
last third of the fields is held back; models see high-resolution fields of the others alone, and the calibration their pairs. The
last model also learns from the pairs themselves.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import pssr
from pssr.config import Config, preset
from pssr.parts import Part

CHANNELS = ("0", "1", "2")


def fields(folder: Path, channel: str) -> list[np.ndarray]:
    """Planes of one channel, in the order of their names."""
    return [pssr.open_stack(path).plane() for path in sorted(folder.glob(f"*_{channel}.tif"))]


def fitted(guess: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR and SSIM after the best line from guess to truth, as both were scaled to 8 bits one by one."""
    slope, level = np.polyfit(guess.ravel(), truth.ravel(), 1)
    made = slope * guess + level
    return (
        float(peak_signal_noise_ratio(truth, made, data_range=255)),
        float(structural_similarity(truth, made, data_range=255)),
    )


def scores(guesses: list[np.ndarray], truths: list[np.ndarray]) -> tuple[float, float]:
    """Means over fields."""
    each = [fitted(g.astype(float), t.astype(float)) for g, t in zip(guesses, truths, strict=True)]
    psnr, ssim = np.mean(each, 0)
    return float(psnr), float(ssim)


def restored(
    config: Config, high: list[np.ndarray], low: list[np.ndarray], partners: list[np.ndarray] | None = None
) -> list[np.ndarray]:
    """The low fields, by a model that has seen the high ones, and their real partners if they are given."""
    with tempfile.TemporaryDirectory() as name:
        real = None if partners is None else [plane[None] for plane in partners]
        model = pssr.train([plane[None] for plane in high], Path(name) / "run", config=config, low=real)
        return [model.predict(plane[None])[0] for plane in low]


def main(folder: str, steps: str = "1000") -> None:
    """Print one table."""
    print(f"{'channel':<9}{'way':<28}{'PSNR dB':>9}{'SSIM':>8}")
    for channel in CHANNELS:
        high, low = (fields(Path(folder) / kind, channel) for kind in ("high", "low"))
        seen = len(high) - len(high) // 3
        found = pssr.calibrate([p[None] for p in low[:seen]], highs=[p[None] for p in high[:seen]])
        usual = preset("single").changed(
            {
                "scale": 1,
                "data.patch_px": 64,
                "data.batch": 8,
                "train.steps": int(steps),
                "train.validate_every": int(steps),
            }
        )
        fit = usual.model_copy(update={"crappifier": found.steps})
        test_low, test_high = low[seen:], high[seen:]
        blurs = [[gaussian_filter(p.astype(float), s) for p in test_low] for s in np.arange(0.5, 4, 0.25)]
        rows = {
            "as it is": scores(test_low, test_high),
            "best Gaussian blur": max(scores(blurred, test_high) for blurred in blurs),
            "usual crappifier": scores(restored(usual, high[:seen], test_low), test_high),
            "calibrated crappifier": scores(restored(fit, high[:seen], test_low), test_high),
            "calibrated, and real pairs": scores(restored(fit, high[:seen], test_low, low[:seen]), test_high),
        }
        for way, (psnr, ssim) in rows.items():
            print(f"{channel:<9}{way:<28}{psnr:>9.2f}{ssim:>8.3f}", flush=True)
        for step in found.steps:
            assert isinstance(step, Part)
            print(f"{'':<9}{step}")


if __name__ == "__main__":
    main(*sys.argv[1:])

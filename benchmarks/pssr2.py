"""PSSR2 2.4.0 against pssr, trained on the same movies for the same CPU time and tested on the same frames.

`python benchmarks/pssr2.py [--seconds 300]`. PSSR2 gets an environment of its own, made at the first call in a folder of the cache.
It is installed without what it declares: its magicgui is for napari, and its timm, used by networks that are not compared here,
needs torchvision; pssr2_driver.py puts empty names in its place.

PSSR2 is its default: ResUNet of 59.9 million weights, 0.8 MS-SSIM + 0.2 L1, AdamW at 1e-3, falling to 0.7 ** 10 of it, spread
over the time as over its ten epochs. Its patches are whole frames of 256 px, its batch is 4: larger ones leave it too few
steps. Its noise is its own Poisson and Gaussian, with the strengths of `point_scan`, from which the test is drawn
(`--crappifier default` gives its plain Poisson); its own bilinear interpolation makes frames small. It needs 8 bits: they span
the training movies with room for noise, and the test is put on the same scale, which pssr has to find by itself.
One frame is its default; `--frames 3` gives it three. pssr is the preset `movie` as it is. Both use one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch

import pssr
from ablation import ACQUISITIONS, Arm, material, step_seconds
from pssr.crappify.chain import crappifier
from pssr.data.intensity import Intensity, measure
from pssr.metrics import flicker, psnr, ssim
from pssr.predict.evaluate import STILL_FRAMES, acquire, bicubic

NEEDS = (
    "numpy==1.26.4", "pillow", "psutil", "tqdm", "tifffile", "scikit-image==0.26.0", "scikit-optimize==0.10.2",
    "pytorch-msssim==1.0.0", "czifile==2019.7.2.3",
)  # fmt: skip
DARK, BRIGHT = 16, 235  # of 255, where the darkest and the brightest pixel lie
PEAK, SIGMA = (10, 80), (0.01, 0.05)  # of the recipe point_scan


@dataclass(frozen=True)
class Case:
    """A test movie and an acquisition of it."""

    truth: np.ndarray
    low: np.ndarray
    still: np.ndarray
    span: float


def main() -> None:
    """Print one table."""
    given = _arguments()
    torch.set_num_threads(1)
    good, unseen = material("simulated")
    cases = [case(movie, seed) for movie in unseen for seed in range(ACQUISITIONS)]
    factor = pssr.preset("movie").scale
    enlarged = [(bicubic(c.low, factor), bicubic(c.still, factor)) for c in cases]
    rows = {"bicubic": (enlarged, "")}
    rows |= {f"PSSR2, {given.frames} frame(s), {given.crappifier} noise": theirs(given, good, cases)}
    rows |= {"pssr, preset movie": ours(given, good, cases)}
    print(
        "| way | steps | PSNR dB raw | PSNR dB after the best line | SSIM | flicker |\n|---|---|---|---|---|---|"
    )
    for way, (restored, steps) in rows.items():
        found = [scores(one, *pair) for one, pair in zip(cases, restored, strict=True)]
        raw, fitted, alike, flickers = np.mean(found, 0)
        print(f"| {way} | {steps} | {raw:.2f} | {fitted:.2f} | {alike:.3f} | {flickers:.4f} |")


def case(truth: np.ndarray, seed: int) -> Case:
    """The same for both: crappified by `point_scan`, and a still scene under fresh noise."""
    config, scale = pssr.preset("movie"), measure(truth)
    make_bad, rng = crappifier(config.crappifier, config.scale), torch.Generator().manual_seed(seed)
    scene = np.repeat(truth[len(truth) // 2][None], STILL_FRAMES, 0)
    low, still = (acquire(movie, make_bad, scale, rng) for movie in (truth, scene))
    return Case(truth, low, still, scale.high - scale.low)


def scores(one: Case, restored: np.ndarray, still: np.ndarray) -> tuple[float, ...]:
    """PSNR as it is, PSNR and SSIM after the best line from restored to true counts, flicker as it is."""
    slope, level = np.polyfit(restored.ravel().astype(float), one.truth.ravel().astype(float), 1)
    fitted = slope * restored.astype(float) + level
    return (
        psnr(restored, one.truth, data_range=one.span),
        psnr(fitted, one.truth, data_range=one.span),
        ssim(list(fitted), list(one.truth), data_range=one.span),
        flicker(still, data_range=one.span),
    )


def ours(
    given: argparse.Namespace, good: list[np.ndarray], cases: list[Case]
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    """The test restored by pssr."""
    frames = pssr.preset("movie").frames
    steps = max(1, round(given.seconds / step_seconds("simulated", [frames])[frames]))
    with tempfile.TemporaryDirectory() as folder:
        for _ in pssr.fit(
            Arm("simulated", frames, 1.0, given.seed).config(steps), good, Path(folder) / "run"
        ):
            pass
        model = pssr.load(Path(folder) / "run", device="cpu")
        return [(model.predict(c.low), model.predict(c.still)) for c in cases], str(steps)


def theirs(
    given: argparse.Namespace, good: list[np.ndarray], cases: list[Case]
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    """The test restored by PSSR2, in counts."""
    python = environment(given.environment)
    darkest, brightest = (float(way([way(movie) for movie in good])) for way in (np.min, np.max))
    gain = (BRIGHT - DARK) / (brightest - darkest)
    bits = Intensity(darkest - DARK / gain, darkest + (255 - DARK) / gain)  # the counts of 0 and of 255
    span = gain * float(np.mean([scale.high - scale.low for scale in map(measure, good)]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "settings.json").write_text(json.dumps({**_noise(span), **_settings(given, good)}))
        _write(folder / "good", good, given.frames, bits)
        _write(folder / "low", [movie for c in cases for movie in (c.low, c.still)], given.frames, bits)
        driver, clean = Path(__file__).with_name("pssr2_driver.py"), dict(os.environ, OMP_NUM_THREADS="1")
        clean.pop("PYTHONPATH", None)  # both packages are called pssr
        subprocess.run([python, driver, folder], check=True, env=clean, stdout=sys.stderr)
        report, restored = json.loads((folder / "report.json").read_text()), np.load(folder / "restored.npy")
    print(f"PSSR2: {report}", file=sys.stderr)
    counts, made = bits.from_unit(restored.astype(float) / 255, np.dtype(np.uint16)), []
    for c in cases:
        low, still, counts = np.split(counts, [len(c.low), len(c.low) + len(c.still)])
        made.append((low, still))
    return made, str(report["steps"])


def _settings(given: argparse.Namespace, good: list[np.ndarray]) -> dict[str, object]:
    names = ("seconds", "batch", "frames", "crappifier", "seed")
    return {"size_px": good[0].shape[1], **{name: getattr(given, name) for name in names}}


def _noise(span: float) -> dict[str, dict[str, float]]:
    """Strengths in 8-bit counts: theirs are drawn from a normal distribution, so mean and half the half-range."""
    strong, weak = (
        np.sqrt(span / peak) for peak in PEAK
    )  # their noise has the variance intensity ** 2 * value
    read = [span * sigma for sigma in SIGMA]
    return {
        "poisson": {"intensity": float(strong + weak) / 2, "spread": float(strong - weak) / 4},
        "gaussian": {"intensity": sum(read) / 2, "spread": (read[1] - read[0]) / 4},
    }


def _write(folder: Path, movies: list[np.ndarray], frames: int, bits: Intensity) -> None:
    """A file for each frame and its neighbours, mirrored at the ends; named in order."""
    folder.mkdir()
    for k, movie in enumerate(movies):
        eight = np.clip(np.rint(255 * bits.to_unit(movie)), 0, 255).astype(np.uint8)
        padded = np.pad(eight, ((frames // 2, frames // 2), (0, 0), (0, 0)), mode="reflect")
        for t in range(len(movie)):
            stack = padded[t : t + frames]
            tifffile.imwrite(folder / f"{k:03}-{t:04}.tif", stack, photometric="minisblack")


def environment(folder: Path) -> Path:
    """The Python that has PSSR2, installed at the first call."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for packages in (("torch==2.13.0",), NEEDS, ("--no-deps", "pssr==2.4.0")):
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
            subprocess.run(pip, check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    return python


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="PSSR2 2.4.0 against pssr at equal CPU time.")
    parser.add_argument("--seconds", type=float, default=300.0, help="CPU seconds of training for each")
    parser.add_argument("--batch", type=int, default=4, help="of PSSR2")
    parser.add_argument("--frames", type=int, choices=(1, 3, 5), default=1, help="of PSSR2")
    parser.add_argument("--crappifier", choices=("matched", "default"), default="matched", help="of PSSR2")
    parser.add_argument("--seed", type=int, default=0)
    cache = Path(tempfile.gettempdir()) / "pssr2-2.4.0"
    parser.add_argument("--environment", type=Path, default=cache, help="folder of PSSR2's environment")
    return parser.parse_args()


if __name__ == "__main__":
    main()

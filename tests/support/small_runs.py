"""Trainings that take a second: settings, a movie, and what they logged."""

import json
from pathlib import Path

import numpy as np

from pssr.config import Config, preset

SMALL = {
    "scale": 2, "network.edsr": {"width": 8, "blocks": 1}, "data.patch_px": 32, "data.batch": 4,
    "train.steps": 60, "train.validate_every": 20, "train.precision": "fp32",
}  # fmt: skip


def config(**changed) -> Config:
    return preset("movie").changed(SMALL | {key.replace("__", "."): value for key, value in changed.items()})


def movie(frames: int = 30, side: int = 48, seed: int = 0) -> np.ndarray:
    """Smooth counts that drift, uint16."""
    rng = np.random.default_rng(seed)
    field = np.cumsum(np.cumsum(rng.normal(size=(side + frames, side)), 0), 1)
    field = 1000 * (field - field.min()) / np.ptp(field)
    return np.stack([field[t : t + side] for t in range(frames)]).astype(np.uint16)


def losses(run: Path) -> dict[int, float]:
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}

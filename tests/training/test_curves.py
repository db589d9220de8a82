import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pssr.config import preset
from pssr.training.curves import POINTS, curves, thinned
from pssr.training.fit import fit

LOSS = (34, 34, 34)  # its ink
RESTORED, BICUBIC = (27, 108, 168), (209, 73, 91)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def drawn(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour, nearly."""
    return int((abs(picture - colour).max(-1) < 12).sum())


def training(steps: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    found: list[dict[str, object]] = []
    for step in range(10, steps + 1, 10):
        l1 = 0.02 + 0.3 / (1 + step / 300) * rng.uniform(0.7, 1.3)
        found.append(
            {"step": step, "loss": l1 * 1.2, "l1": l1, "stability": l1 / 5, "lr": 1e-3, "elapsed_s": 1.0}
        )
        if step % 1000 == 0:
            found.append({"step": step, "psnr": 24 + 4 * step / (step + 5000), "bicubic_psnr": 24.8})
    return found


def test_a_real_log_is_drawn(tmp_path: Path):
    small = {
        "scale": 2, "network.edsr": {"width": 8, "blocks": 1}, "data.patch_px": 32, "data.batch": 2,
        "train.steps": 30, "train.validate_every": 10, "train.precision": "fp32",
    }  # fmt: skip
    movie = np.random.default_rng(0).integers(0, 1000, (30, 40, 40)).cumsum(2).astype(np.uint16)
    list(fit(preset("movie").changed(small), [movie], tmp_path / "run"))
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    picture = pixels(curves(lines))
    left, right = np.array_split(picture, 2, axis=1)
    assert drawn(left, LOSS) > 200
    assert drawn(right, RESTORED) > 100
    assert drawn(right, BICUBIC) > 100


@pytest.mark.parametrize("steps", [10, 1000, 1_000_000])
def test_one_point_and_a_hundred_thousand_make_pictures_of_one_size(steps: int):
    picture = pixels(curves(training(steps)))
    assert picture.shape == (440, 1210, 3)
    assert drawn(np.array_split(picture, 2, axis=1)[0], LOSS) > 100


def test_nothing_yet_is_said():
    assert drawn(pixels(curves([])), LOSS) > 20


def test_what_is_no_number_or_missing_is_left_out():
    good = training(3000)
    odd = [
        {"step": 40, "loss": None, "l1": float("nan")}, {"step": 50, "loss": float("inf")}, {"loss": 1.0},
        {"step": 60, "loss": "x", "l1": True}, {"step": 1000, "psnr": None, "bicubic_psnr": None},
        {"step": 70, "note": "half as many patches"}, {"failed": "loss: nan"}, {"step": 3000, "finished": True},
    ]  # fmt: skip
    kept = pixels(curves(good))
    mixed = pixels(curves([*good, *odd]))
    np.testing.assert_array_equal(mixed, kept)


def test_a_log_of_odd_lines_alone_is_drawn():
    odd = [{"step": 1, "loss": None, "l1": None}, {"step": 2, "psnr": float("nan")}, {"loss": 1.0}]
    assert pixels(curves(odd)).shape == (440, 1210, 3)


@pytest.mark.parametrize("least", [-1.0, 0.0])
def test_a_term_that_is_not_positive_is_drawn(least: float):
    lines = [{"step": k, "loss": 1000.0 / k, "critic": least} for k in range(10, 300, 10)]
    assert drawn(pixels(curves(lines)), LOSS) > 100


def test_thinning_keeps_ends_and_means_and_short_curves():
    steps, values = np.arange(10.0, 1_000_001, 10), np.random.default_rng(0).normal(5, 1, 100_000)
    few_steps, few = thinned(steps, values)
    assert len(few) == len(few_steps) == POINTS
    assert few.mean() == pytest.approx(values.mean())
    assert few_steps[0] < 2000
    assert few_steps[-1] > 998_000
    assert (np.diff(few_steps) > 0).all()
    np.testing.assert_array_equal(thinned(steps[:9], values[:9])[1], values[:9])

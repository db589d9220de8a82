from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

import pssr
from pssr.cli.main import app
from pssr.crappify.chain import crappifier
from pssr.crappify.noise import Gaussian, Poisson
from pssr.crappify.optics import Bin, Blur
from pssr.crappify.preview import likeness
from pssr.data.intensity import measure
from pssr.simulate import tubules


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    """(6, 512, 512) counts."""
    return np.rint(100 + 3000 * tubules(frames=6, size_px=512, seed=6).frames).astype(np.uint16)


def made(good: np.ndarray, *steps, seed: int = 0) -> np.ndarray:
    unit = torch.from_numpy(measure(good).to_unit(good))[None]
    return crappifier(list(steps), 4)(unit, torch.Generator().manual_seed(seed))[0].numpy()


REAL = (Blur(1.0), Bin(), Poisson(60.0), Gaussian(0.03))


def test_frames_of_the_same_crappifier_are_alike(good):
    found = likeness(made(good, *REAL, seed=1), made(good[:, ::-1], *REAL, seed=2))
    assert found.noise_ratio == pytest.approx(1, abs=0.1)
    assert abs(found.sharpness_db) < 1
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ((Blur(1.0), Bin(), Poisson(15.0), Gaussian(0.05)), "noisier"),
        ((Blur(1.0), Bin(), Poisson(600.0), Gaussian(0.01)), "cleaner"),
        ((Blur(9.0), Bin(), Poisson(60.0), Gaussian(0.03)), "blurrier"),
    ],
)
def test_what_is_clearly_different_is_said(good, steps, word):
    found = likeness(made(good, *steps), made(good, *REAL))
    assert word in " ".join(found.warnings)


def test_what_is_sharper_is_said(good):
    blurred = made(good, Blur(9.0), Bin(), Poisson(60.0), Gaussian(0.03))
    assert "sharper" in " ".join(likeness(made(good, *REAL), blurred).warnings)


def test_a_picture_with_real_frames_holds_the_curves(good):
    real = np.rint(200 + 1000 * made(good, *REAL)).clip(0).astype(np.uint16)
    alone = pssr.preview(good, crappifier=REAL, config=pssr.preset("movie"))
    beside = pssr.preview(good, low=real, crappifier=REAL, config=pssr.preset("movie"))
    one, two = (Image.open(BytesIO(picture.png)).size for picture in (alone, beside))
    assert one[0] == two[0]
    assert two[1] > one[1] + 200
    assert not any("clearly" in warning for warning in beside.warnings)
    assert any("sink into the noise" in warning for warning in beside.warnings)


def test_thin_filaments_that_survive_are_not_warned_of(good):
    quiet = pssr.preview(good, crappifier=(Bin(), Gaussian(0.01)), config=pssr.preset("movie"))
    assert quiet.warnings == ()


def test_the_command_draws_and_warns(tmp_path: Path, good):
    real = np.rint(200 + 1000 * made(good, *REAL)).clip(0).astype(np.uint16)
    for name, frames in (("high", good), ("low", real)):
        tifffile.imwrite(tmp_path / f"{name}.tif", frames, metadata={"axes": "TYX"}, photometric="minisblack")
    words = [
        "preview",
        tmp_path / "high.tif",
        "--low",
        tmp_path / "low.tif",
        "--crappifier",
        "csbdeep",
        "-o",
        tmp_path / "a.png",
    ]
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    assert str(tmp_path / "a.png") in found.output.replace("\n", "")
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300


def test_a_single_small_frame_is_shown_though_its_noise_cannot_be_told(good):
    picture = pssr.preview(good[:1, :96, :96], low=good[:1, :24, :24], config=pssr.preset("movie"))
    assert any("the noise cannot be compared" in warning for warning in picture.warnings)
    assert Image.open(BytesIO(picture.png)).size[1] > 300


def test_a_picture_is_a_png_and_replaces_none(good, tmp_path: Path):
    picture = pssr.preview(good[:3, :96, :96])
    with pytest.raises(pssr.WriteError, match=r"does not end in \.png"):
        picture.save(tmp_path / "a.jpg")
    picture.save(tmp_path / "a.png")
    with pytest.raises(pssr.WriteError, match="exists already"):
        picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "a.png", overwrite=True)

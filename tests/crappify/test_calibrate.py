from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import shift
from typer.testing import CliRunner

import pssr
from pssr.cli.main import app
from pssr.crappify.calibrate import calibrate
from pssr.crappify.chain import crappifier
from pssr.crappify.figures import spectrum
from pssr.crappify.pair import sampled
from pssr.crappify.preview import remade
from pssr.errors import ConfigError
from pssr.recipes import recipe
from pssr.simulate import tubules

BLUR_PX, SCALE, PEAK, GAIN, READ, OFFSET = 1.5, 4, 100.0, 2.0, 3.0, 100.0


@pytest.fixture(scope="module")
def high() -> np.ndarray:
    """Sharp frames in counts: (8, 512, 512)."""
    frames = tubules(frames=8, size_px=512, seed=4).frames
    return (np.clip(frames - np.percentile(frames, 0.5), 0, None) * 1000 + 50).astype(np.float32)


@pytest.fixture(scope="module")
def low(high) -> np.ndarray:
    """The same field by a fast scan: (8, 128, 128)."""
    light = np.stack([sampled((frame - 50) / 1000, BLUR_PX, SCALE) for frame in high])
    rng = np.random.default_rng(0)
    return np.rint(
        GAIN * rng.poisson(np.clip(light, 0, None) * PEAK) + rng.normal(OFFSET, READ, light.shape)
    ).astype(np.uint16)


def test_a_registered_pair_gives_the_blur(high, low):
    found = calibrate([low], highs=[high])
    assert found.pair is not None
    assert found.pair.scale == SCALE
    assert found.pair.blur_px.value == pytest.approx(BLUR_PX, rel=0.1)
    assert found.pair.contrast.value == pytest.approx(GAIN * PEAK / 1000, rel=0.05)
    assert found.pair.level.value == pytest.approx(OFFSET - 50 * GAIN * PEAK / 1000, abs=3)
    assert found.pair.worst.worst_px < 0.2
    told = " ".join(found.lines())
    for words in ("blur 1.", "counts for each high-resolution one", "registration: low is shifted by"):
        assert words in told


def test_a_pair_that_lies_off_is_measured_when_it_may_be_moved(high, low):
    with pytest.raises(ConfigError, match="pair 1: low is shifted .* register them first"):
        calibrate([low], highs=[np.roll(high, 8, 2)])
    found = calibrate([low], highs=[np.roll(high, 8, 2)], align=True)
    assert found.pair.worst.shift_px == pytest.approx((0, -2), abs=0.1)
    assert found.pair.blur_px.value == pytest.approx(BLUR_PX, rel=0.1)


def test_a_shift_too_small_to_refuse_counts_neither_as_blur_nor_as_noise(high):
    rng = np.random.default_rng(0)
    moved = shift(high[0].astype(float), (0, 0.4 * SCALE), order=3, mode="nearest")
    light = sampled((moved - 50) / 1000, BLUR_PX, SCALE)
    single = np.rint(GAIN * rng.poisson(light.clip(0) * PEAK) + rng.normal(OFFSET, READ, light.shape))
    found = calibrate([single[None]], highs=[high[:1]])
    assert found.pair is not None
    assert found.pair.worst.shift_px == pytest.approx((0, 0.4), abs=0.1)
    assert found.pair.blur_px.value == pytest.approx(BLUR_PX, rel=0.1)
    assert found.transfer.gain.value == pytest.approx(GAIN, rel=0.1)


def test_what_only_one_of_a_pair_shows_is_left_out(high, low):
    found = calibrate([low], highs=[np.roll(high, 40, 1)], align=True)
    assert found.pair is not None
    rows, columns = found.pair.covers[0]
    assert (rows, columns) == (slice(0, 118), slice(0, 128))
    assert found.pair.truths[0].shape == (118, 128)
    assert found.pair.blur_px.value == pytest.approx(BLUR_PX, rel=0.1)


def test_with_a_sharp_partner_single_images_tell_the_noise(high, low):
    alone, paired = calibrate([low[:1]]), calibrate([low[:1]], highs=[high[:1]])
    assert alone.transfer.upper_bound
    assert not paired.transfer.upper_bound
    assert paired.transfer.gain.value == pytest.approx(GAIN, rel=0.1)
    assert not any("upper bound" in note for note in paired.notes)


def test_stacks_of_different_light_widen_the_range_of_photons(high, low):
    rng = np.random.default_rng(1)
    light = np.stack([sampled((frame - 50) / 1000, BLUR_PX, SCALE) for frame in high])
    dim = np.rint(
        GAIN * rng.poisson(np.clip(light, 0, None) * PEAK / 4) + rng.normal(OFFSET, READ, light.shape)
    )
    both = calibrate([low, dim])
    assert "the stacks differ" in " ".join(both.notes)
    assert "the stacks differ" not in " ".join(calibrate([low, low]).notes)
    steps = both.steps
    dimmest, brightest = next(s.settings["peak"]["log_uniform"] for s in steps if s.name == "poisson")
    alone = [calibrate([stack]) for stack in (low, dim)]
    bright_photons, dim_photons = ((a.signal[1] - a.signal[0]) / a.transfer.gain.value for a in alone)
    # Those that are still to come may be dimmer or brighter than both.
    assert dimmest < 0.9 * dim_photons
    assert brightest > 1.1 * bright_photons


def test_jittering_lines_are_part_of_the_crappifier(high):
    rng, light = np.random.default_rng(2), []
    for frame in high:
        lines = (frame[1::SCALE] + frame[2::SCALE]) / 2 / 1000
        x = np.arange(512)
        moved = [np.interp(x + s, x, line) for s, line in zip(rng.normal(0, 1.2, 128), lines, strict=True)]
        light.append(np.array(moved).reshape(128, 128, SCALE).mean(2))
    shaky = np.rint(GAIN * rng.poisson(np.array(light) * 200) + rng.normal(OFFSET, READ, (8, 128, 128)))
    found = calibrate([shaky])
    low, high_ = next(s.settings["sd_px"] for s in found.steps if s.name == "line_jitter")
    assert low < 0.3 < high_
    assert "line jitter 0." in " ".join(found.lines())
    assert (
        crappifier(found.steps, 4)(torch.rand(2, 3, 64, 64), torch.Generator().manual_seed(0)).shape[-1] == 16
    )


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (lambda low: low, "levels 1 count apart, 9 bits, or more, not saturated"),
        (lambda low: low * 16, "levels 16 counts apart, 9 bits, or more, not saturated"),
        (lambda low: np.minimum(low, 200), "levels 1 count apart, 8 bits, "),
        (lambda low: low + 0.5 * (low > 130), "no whole numbers"),
    ],
)
def test_the_converter_is_read_off_the_counts(low, frames, words):
    told = str(calibrate([frames(low)]).converter)
    assert words in told
    assert ("% saturated" in told) == (words.endswith("8 bits, "))


def test_a_full_converter_is_part_of_the_crappifier(low):
    found = calibrate([np.minimum(low, 200)])
    names = [step.name for step in found.steps]
    assert names[-3:] == ["offset", "saturate", "offset"]
    bad = crappifier(found.steps, 4)(2 * torch.rand(2, 3, 64, 64), torch.Generator().manual_seed(0))
    dark, bright = found.signal
    counts = bad * (bright - dark) + dark
    assert float(counts.max()) == pytest.approx(200, abs=0.1)
    assert "saturate" not in [step.name for step in calibrate([low]).steps]


@pytest.mark.parametrize("with_high", [True, False])
def test_what_it_makes_cannot_be_told_from_the_real_by_noise_and_spectrum(high, low, with_high):
    found = calibrate([low], highs=[high] if with_high else [])
    made = remade(found, low, high if with_high else None)
    real_curve, made_curve = (calibrate([frames]).transfer for frames in (low, made))
    for level in (150, 200, 250):
        real_sd, made_sd = (np.sqrt(c.slope * level + c.intercept) for c in (real_curve, made_curve))
        assert made_sd == pytest.approx(real_sd, rel=0.1)
    if with_high:
        decibels = 10 * np.log10(spectrum(made)[2:] / spectrum(low)[2:])
        assert np.abs(np.convolve(decibels, np.ones(8) / 8, "valid")).max() < 1.0


def test_its_steps_are_a_crappifier_around_what_was_measured(low):
    found = calibrate([low])
    settings = {step.name: step.settings for step in found.steps}
    dimmest, brightest = settings["poisson"]["peak"]["log_uniform"]
    span = found.signal[1] - found.signal[0]
    assert dimmest < span / GAIN < brightest
    assert brightest / dimmest == pytest.approx(1.44, rel=0.01)
    bad = crappifier(found.steps, 4)(torch.rand(2, 3, 64, 64), torch.Generator().manual_seed(0))
    assert bad.shape == (2, 3, 16, 16)


def test_it_says_what_it_cannot_know(low):
    notes = " ".join(calibrate([low[:1]]).notes)
    for words in ("upper bound", "blur cannot be told", "recording without light"):
        assert words in notes
    full = np.minimum(low.astype(float) * 20, 4095)
    assert "saturated" in " ".join(calibrate([full]).notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda high: [high, high], "2 stacks for 1 low ones"),
        (lambda high: [high[:, :500]], "must be one whole number of times"),
        (lambda high: [high[:, ::-1, ::-1]], "do not show the same field"),
    ],
)
def test_sharp_frames_of_another_field_are_refused(high, low, change, message):
    with pytest.raises(ConfigError, match=message):
        calibrate([low], highs=change(high))


def test_the_command_writes_a_crappifier_and_a_figure(tmp_path: Path, low, high):
    for name, frames in (("low", low), ("high", high)):
        tifffile.imwrite(tmp_path / f"{name}.tif", frames, metadata={"axes": "TYX"}, photometric="minisblack")
    words = ["calibrate", tmp_path / "low.tif", "--high", tmp_path / "high.tif", "-o", tmp_path / "a.yaml"]
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    assert "gain 2.0" in found.output or "gain 1.9" in found.output
    assert "counts per photon" in found.output
    assert [step.name for step in recipe(str(tmp_path / "a.yaml"))][:3] == ["blur", "subsample", "bin"]
    assert "# gain" in (tmp_path / "a.yaml").read_text()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 1000
    again = CliRunner().invoke(app, [str(word) for word in words])
    assert "exists already" in str(again.exception)
    assert CliRunner().invoke(app, [*map(str, words), "--overwrite"]).exit_code == 0
    config = pssr.preset("movie").changed({"crappifier": str(tmp_path / "a.yaml")})
    assert [step.name for step in config.crappifier][-1] == "gaussian"
    (tmp_path / "a.yaml").unlink()
    again = CliRunner().invoke(app, [str(word) for word in words])
    assert "a.png: exists already" in str(again.exception)


def test_a_name_that_no_config_would_find_is_refused(low):
    with pytest.raises(ConfigError, match=r"a.txt: does not end in .yaml"):
        pssr.calibrate(low, out="a.txt")


def test_an_image_that_is_no_movie_is_refused(low):
    with pytest.raises(ConfigError, match=r"frames are \(128,\), not \(Y, X\)"):
        pssr.calibrate(low[0])
    with pytest.raises(ConfigError, match="give at least one"):
        pssr.calibrate([])


def test_real_movies_of_a_confocal_microscope(data_folder):
    found = pssr.calibrate(data_folder / "confocal_timelapse_membrane", series="T")
    assert 40 < found.transfer.gain.value < 60
    assert found.transfer.correlation < 0.1


def test_deconvolved_pictures_are_known(data_folder):
    found = pssr.calibrate(data_folder / "live_mito_airyscan/dev_20240927_cell12_T100.czi", channel=0)
    assert "its noise is smooth" in " ".join(found.notes)

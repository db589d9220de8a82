from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.data.intensity import Intensity
from pssr.io.open import open_stack
from pssr.io.stack import Stack
from pssr.predict.redraw import NoNoise, measured_noise, redrawn
from pssr.simulate import tubules

SCALE = Intensity(100.0, 2100.0)


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """Tubules on the 0..1 scale, sampled as a fast scan would: (10, 256, 256)."""
    frames = tubules(frames=10, size_px=512, seed=3).frames
    low = frames.reshape(10, 256, 2, 256, 2).mean((2, 4))
    return low / np.percentile(low, 99.8)


def stack_of(unit: np.ndarray, path: Path) -> Stack:
    """A file of counts, of which those of 100 are 0 on the scale."""
    counts = SCALE.low + unit * (SCALE.high - SCALE.low)
    tifffile.imwrite(
        path, counts.astype(np.float32), metadata={"axes": "TYX" if unit.ndim == 3 else "TZYX"}, imagej=True
    )
    return open_stack(path)


def noisy(light: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    return light + np.sqrt(slope * light + intercept) * rng.standard_normal(light.shape)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize(("slope", "intercept"), [(0.02, 0.001), (0.005, 0.002), (0.1, 0.01)])
def test_planted_noise_is_found_again(light, tmp_path, moving, slope, intercept):
    scene = light if moving else np.repeat(light[:1], 10, 0)
    stack = stack_of(noisy(scene, slope, intercept), tmp_path / "a.tif")
    found, at_zero, bound = measured_noise(stack, 0, 0, SCALE)
    assert found == pytest.approx(slope, rel=0.15)
    assert at_zero == pytest.approx(intercept, rel=0.15)
    assert not bound


def test_noise_that_is_the_same_at_any_brightness_has_no_negative_slope(light, tmp_path):
    stack = stack_of(noisy(light, 0.0, 0.004), tmp_path / "a.tif")
    slope, intercept, _ = measured_noise(stack, 0, 0, SCALE)
    assert 0 <= slope < 0.001
    assert intercept == pytest.approx(0.004, rel=0.15)


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames_are_said_to_give_an_upper_bound(light, tmp_path, frames):
    stack = stack_of(noisy(light[:frames], 0.02, 0.001), tmp_path / "a.tif")
    slope, _, bound = measured_noise(stack, 0, 0, SCALE)
    assert bound
    assert slope > 0.85 * 0.02


def test_the_depth_asked_for_is_measured(light, tmp_path):
    both = np.stack([noisy(light, 0.02, 0.001), noisy(light, 0.1, 0.001)], 1)
    stack = stack_of(both, tmp_path / "a.tif")
    assert dict(stack.sizes) | {"T": 10, "Z": 2} == dict(stack.sizes)
    near, far = (measured_noise(stack, 0, z, SCALE)[0] for z in (0, 1))
    assert far > 3 * near


def test_pixels_that_are_no_numbers_do_not_spoil_the_measurement(light, tmp_path):
    unit = noisy(light, 0.02, 0.001)
    unit[:, 3:5, 7] = np.nan
    slope, intercept, _ = measured_noise(stack_of(unit, tmp_path / "a.tif"), 0, 0, SCALE)
    assert slope == pytest.approx(0.02, rel=0.2)
    assert np.isfinite(intercept)


@pytest.mark.parametrize(
    ("shape", "why"), [((5, 64, 64), "equally bright"), ((5, 4, 90), "smaller than 16 px")]
)
def test_what_cannot_be_measured_is_told_with_its_file(tmp_path, shape, why):
    stack = stack_of(np.full(shape, 0.5), tmp_path / "flat.tif")
    with pytest.raises(
        NoNoise, match=rf"flat\.tif: its noise cannot be measured \(.*{why}.*\); restore it without"
    ):
        measured_noise(stack, 0, 0, SCALE)


@pytest.mark.parametrize("moving", [False, True])
def test_frames_without_noise_are_no_error_but_have_next_to_none(light, tmp_path, moving):
    stack = stack_of(light if moving else np.repeat(light[:1], 5, 0), tmp_path / "a.tif")
    slope, intercept, _ = measured_noise(stack, 0, 0, SCALE)
    assert 0 <= slope < 1e-4
    assert abs(intercept) < 1e-5


def test_noise_is_measured_where_a_background_is_cut_off(light, tmp_path):
    unit = noisy(light, 0.02, 0.001)
    unit = np.clip(unit - np.percentile(unit, 60), 0, None)
    slope, intercept, _ = measured_noise(stack_of(unit, tmp_path / "a.tif"), 0, 0, SCALE)
    assert slope == pytest.approx(0.02, rel=0.6)
    assert abs(intercept) < 0.001


def test_copies_have_as_much_noise_more_as_the_line_says():
    levels = np.array([0.0, 0.3, 1.0], np.float32)
    unit = np.repeat(levels[:, None], 40_000, 1)
    copies = redrawn(unit, (0.02, 0.004), (2, 0, 1), 3)
    assert copies.shape == (4, 3, 40_000)
    assert copies.dtype == np.float32
    np.testing.assert_array_equal(copies[0], unit)
    np.testing.assert_allclose(copies[1:].var(2), np.tile(0.02 * levels + 0.004, (3, 1)), rtol=0.04)
    np.testing.assert_allclose(copies[1:].mean(2), np.tile(levels, (3, 1)), atol=0.003)


def test_copies_are_independent_of_each_other():
    fresh = redrawn(np.zeros((200, 200), np.float32), (0.0, 1.0), (0, 0, 0), 3)[1:].reshape(3, -1)
    assert np.abs(np.corrcoef(fresh) - np.eye(3)).max() < 0.03


def test_the_same_place_gets_the_same_noise_and_another_one_other_noise():
    unit, noise = np.full((30, 20), 0.4, np.float32), (0.02, 0.001)
    copies = redrawn(unit, noise, (3, 1, 2), 2)
    np.testing.assert_array_equal(copies, redrawn(unit, noise, (3, 1, 2), 2))
    for place in ((2, 1, 2), (3, 0, 2), (3, 1, 1), (1, 3, 2), (2, 1, 3)):
        other = redrawn(unit, noise, place, 2)
        assert abs(np.corrcoef(copies[1].ravel(), other[1].ravel())[0, 1]) < 0.2


def test_more_draws_begin_with_the_same_copies():
    unit = np.full((30, 20), 0.4, np.float32)
    few, many = (redrawn(unit, (0.02, 0.001), (0, 0, 0), draws) for draws in (2, 4))
    np.testing.assert_array_equal(few, many[:3])


def test_pixels_darker_than_the_line_allows_get_no_noise():
    unit = np.array([[-1.0, 0.5]], np.float32)
    copies = redrawn(unit, (0.1, 0.01), (0, 0, 0), 4)
    assert (copies[:, 0, 0] == -1).all()
    assert (copies[1:, 0, 1] != 0.5).all()

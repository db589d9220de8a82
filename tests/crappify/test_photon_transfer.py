"""Planted gains, offsets and read noises are found again."""

import itertools

import numpy as np
import pytest
import torch

from pssr.crappify.photon_transfer import noise_curve, photon_transfer
from pssr.crappify.scanning import Response
from pssr.errors import ReadError
from pssr.simulate import tubules

OFFSET = 100.0


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """Tubules sampled as a fast scan would, their darkest parts without light: (12, 256, 256)."""
    frames = tubules(frames=12, size_px=512, seed=3).frames
    low = frames.reshape(12, 256, 2, 256, 2).mean((2, 4))
    return np.clip(low - np.percentile(low, 0.5), 0, None)


def counts(light: np.ndarray, *, peak: float, gain: float, read: float, seed: int = 0) -> np.ndarray:
    """Whole counts of a detector: `read` in photons."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(light * peak) + rng.normal(0, read, light.shape)
    return np.rint(gain * electrons + OFFSET)


@pytest.mark.parametrize("moving", [False, True])
def test_gain_offset_and_read_noise_of_simulated_movies(light, moving):
    errors = []
    for peak, gain, read in itertools.product((20, 60, 150, 400), (0.5, 2.0, 10.0), (1.0, 4.0)):
        scene = light[:6] if moving else np.repeat(light[:1], 6, 0)
        found = photon_transfer([counts(scene, peak=peak, gain=gain, read=read)])
        # Rounding to whole counts adds a twelfth to the variance.
        true = gain, OFFSET, np.hypot(read * gain, 12**-0.5)
        values = (found.gain, found.offset, found.read_noise)
        errors.append([abs(v.value / t - 1) for v, t in zip(values, true, strict=True)])
        # What is far off says so itself.
        assert abs(found.gain.value - gain) < 5 * found.gain.error + 0.02 * gain
    medians = np.median(errors, 0)
    assert (medians < (0.05, 0.05, 0.10)).all(), medians


def test_many_frames_and_a_dark_recording_make_it_surer(light):
    made = counts(light, peak=100, gain=2.0, read=2.0)
    dark = np.random.default_rng(1).normal(OFFSET, 4.0, (5, 64, 64))
    few, many = (photon_transfer([made[:n]], dark=dark) for n in (3, 12))
    assert many.gain.error < few.gain.error
    assert many.offset.value == pytest.approx(OFFSET, abs=0.2)
    assert many.read_noise.value == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_the_memory_of_the_detector_is_found_and_taken_out_of_the_gain(light, correlation):
    made = torch.from_numpy(counts(np.repeat(light[:1], 8, 0), peak=80, gain=2.0, read=1.0))
    smeared = Response(correlation)(made.float()[:, None])[:, 0].numpy()
    found = photon_transfer([smeared])
    assert found.correlation == pytest.approx(correlation, abs=0.03)
    assert found.gain.value == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("frames", [1, 2])
def test_fewer_than_three_frames_give_an_upper_bound_and_say_so(light, frames):
    found = photon_transfer([counts(light[:frames], peak=60, gain=2.0, read=1.0)])
    assert found.upper_bound
    assert found.frames == frames
    assert found.gain.value > 1.5


def test_what_cannot_be_measured_is_refused(light):
    with pytest.raises(ReadError, match="about equally bright"):
        photon_transfer([np.random.default_rng(0).normal(100, 1e-9, (3, 64, 64)) * 0 + 100])
    with pytest.raises(ReadError, match="smaller than 16 px"):
        photon_transfer([light[:3, :9, :9]])
    with pytest.raises(ReadError, match="brighter pixels are not noisier"):
        photon_transfer(
            [
                np.repeat(light[:1], 3, 0) * 1000
                + np.random.default_rng(0).normal(0, 5, (3, 256, 256)) * (1.1 - light[:1])
            ]
        )


@pytest.mark.parametrize("size_px", [32, 96])
def test_frames_without_noise_are_refused_in_words(size_px):
    """Rounded to so few counts that the noise of most bins is none at all."""
    frames = np.rint(tubules(frames=6, size_px=size_px, seed=3).frames * (1 if size_px == 32 else 1000))
    with pytest.raises(
        ReadError, match="calibration: many pixels have no noise at all; give the frames as the detector"
    ):
        photon_transfer([frames])


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("counts", [1e-6, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("frames", [1, 2, 6])
def test_without_noise_there_is_next_to_none_or_a_reason(counts, offset, frames):
    """Still, moving or rounded: no other error, no warning, and no photons where there are none."""
    made = tubules(frames=6, size_px=64, seed=5).frames[:frames] * counts + offset
    for movie in (made, np.repeat(made[:1], frames, 0), np.rint(made)):
        found = none_or_reason(movie)
        assert found.startswith("calibration: ") if isinstance(found, str) else np.isfinite(found).all()


def none_or_reason(movie: np.ndarray) -> tuple[float, ...] | str:
    """What is found in a movie, or why nothing is."""
    try:
        found = photon_transfer([movie])
    except ReadError as error:
        return str(error)
    return found.gain.value, found.gain.error, found.correlation, found.slope, found.intercept


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 4, 200), (1, 200, 15)])
def test_frames_too_small_for_a_curve_are_refused_in_words(shape):
    movie = np.random.default_rng(0).random(shape)
    for measured in (photon_transfer, noise_curve):
        with pytest.raises(ReadError, match="frames are smaller than 16 px; give larger ones"):
            measured([movie])


@pytest.mark.parametrize("percent", [50, 80])
def test_a_background_that_is_cut_off_is_refused_in_words(light, percent):
    made = counts(np.repeat(light[:1], 4, 0), peak=60, gain=2.0, read=1.0)
    with pytest.raises(
        ReadError, match="many pixels have no noise at all; .* without a background that is cut off"
    ):
        photon_transfer([np.clip(made - np.percentile(made, percent), 0, None)])

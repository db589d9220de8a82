"""Planted shifts of lines are found again, and none where there are none."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from pssr.crappify.jitter import line_jitter
from pssr.crappify.photon_transfer import photon_transfer
from pssr.simulate import tubules

SCALE, GAIN, READ, OFFSET = 4, 2.0, 4.0, 100.0


def acquired(scene: np.ndarray, *, jitter_px: float, peak: float, seed: int = 1) -> np.ndarray:
    """A point scanner's movie of sharp frames: lines begin early or late, light adds up along them."""
    rng, out = np.random.default_rng(seed), []
    for frame in scene:
        lines = gaussian_filter(frame, 1.0)[SCALE // 2 :: SCALE]
        x = np.arange(lines.shape[1])
        starts = rng.normal(0, jitter_px * SCALE, len(lines))
        moved = np.stack([np.interp(x + start, x, line) for start, line in zip(starts, lines, strict=True)])
        light = moved.reshape(len(lines), -1, SCALE).mean(2).clip(0)
        out.append(GAIN * rng.poisson(light * peak) + rng.normal(OFFSET, READ, light.shape))
    return np.rint(out)


@pytest.fixture(scope="module")
def scenes() -> dict[str, np.ndarray]:
    """Sharp movies: moving tubules, and a still photograph."""
    moving = tubules(frames=6, size_px=512, seed=3).frames
    return {
        "moving": np.clip(moving - np.percentile(moving, 0.5), 0, None),
        "still": np.repeat(data.camera()[None] / 255, 6, 0),
    }


@pytest.mark.parametrize("scene", ["moving", "still"])
@pytest.mark.parametrize("peak", [60, 150])
@pytest.mark.parametrize("jitter_px", [0.25, 0.5])
def test_jitter_is_found_within_a_third(scenes, scene, peak, jitter_px):
    made = acquired(scenes[scene], jitter_px=jitter_px, peak=peak)
    found = photon_transfer([made])
    assert found.jitter_px.value == pytest.approx(jitter_px, rel=0.33)
    assert 0 < found.jitter_px.error < 0.1
    # Without a term for it the gain would be up to 50 % too large.
    assert found.gain.value == pytest.approx(GAIN, rel=0.3)


@pytest.mark.parametrize("scene", ["moving", "still"])
@pytest.mark.parametrize("peak", [20, 60, 150])
def test_no_jitter_is_found_where_there_is_none(scenes, scene, peak):
    made = acquired(scenes[scene], jitter_px=0.0, peak=peak)
    assert photon_transfer([made]).jitter_px.value == 0
    # A specimen that moves as a whole is no jitter.
    drifting = acquired(
        np.stack([np.roll(f, 3 * t, 1) for t, f in enumerate(scenes[scene])]), jitter_px=0.0, peak=peak
    )
    assert photon_transfer([drifting]).jitter_px.value < 0.2


def test_too_few_lines_tell_nothing(scenes):
    made = acquired(scenes["still"], jitter_px=0.5, peak=100)[:3, :20, :20]
    assert line_jitter([made], GAIN, READ**2 - GAIN * OFFSET) == (0.0, 0.0)


def test_small_still_movies_are_not_taken_for_jitter():
    rng = np.random.default_rng(0)
    for seed in range(8):
        spots = gaussian_filter(np.random.default_rng(seed).random((128, 128)) > 0.995, 3.0, output=float)
        light = 60 * spots / spots.max()
        movie = GAIN * rng.poisson(np.repeat(light[None], 6, 0)) + rng.normal(OFFSET, READ, (6, 128, 128))
        assert photon_transfer([movie]).jitter_px.value == 0

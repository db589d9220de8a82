import time

import numpy as np
import pytest

from pssr.simulate import tubules


@pytest.fixture(scope="module")
def movie():
    return tubules(frames=24, size_px=192, seed=4)


def test_it_is_a_movie_in_physical_units(movie):
    assert movie.frames.shape == (24, 192, 192)
    assert movie.frames.dtype == np.float32
    assert (movie.frames.min() >= 0, movie.frames.max()) == (True, 1.0)
    assert (len(movie), movie.pixel_size_um, movie.interval_s) == (24, 0.05, 1.0)
    np.testing.assert_array_equal(movie[3], movie.frames[3])


def test_the_seed_decides_everything(movie):
    np.testing.assert_array_equal(tubules(frames=24, size_px=192, seed=4).frames, movie.frames)
    assert np.corrcoef(tubules(frames=1, size_px=192, seed=5)[0].ravel(), movie[0].ravel())[0, 1] < 0.5


def correlation(movie, gap: int) -> float:
    pairs = zip(movie.frames[:-gap], movie.frames[gap:], strict=True)
    return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))


def test_neighbouring_frames_resemble_each_other_as_in_living_cells(movie):
    """Between .87 and .97 in recorded movies of mitochondria, spindles and membranes."""
    assert 0.9 < correlation(movie, 1) < 0.985
    assert correlation(movie, 15) < correlation(movie, 5) < correlation(movie, 1)


def test_there_is_structure_between_two_pixel_sizes_and_none_below_the_width():
    """Low-resolution pixels of 0.2 um hold up to 2.5 cycles per um; a ridge 0.2 um wide ends near 6."""
    movie = tubules(frames=1, size_px=384, seed=2, pixel_size_um=0.025)
    window = np.outer(np.hanning(384), np.hanning(384))
    spectrum = np.abs(np.fft.fft2((movie[0] - movie[0].mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(384)[:, None], np.fft.fftfreq(384)) / 0.025
    assert spectrum[(frequency > 1) & (frequency < 2.5)].sum() > 0.05 * spectrum.sum()
    assert spectrum[(frequency > 2.5) & (frequency < 5)].sum() > 1e-4 * spectrum.sum()
    assert spectrum[frequency > 6].sum() < 1e-5 * spectrum.sum()


def test_finer_pixels_show_the_same_scene():
    coarse = tubules(frames=1, size_px=64, seed=1, pixel_size_um=0.1)[0]
    fine = tubules(frames=1, size_px=128, seed=1, pixel_size_um=0.05)[0].reshape(64, 2, 64, 2).mean((1, 3))
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.95


def test_it_is_quick_enough_for_a_demo():
    start = time.perf_counter()
    tubules(frames=24, size_px=256)
    assert time.perf_counter() - start < 10

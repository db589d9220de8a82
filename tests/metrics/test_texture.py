import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pssr.metrics import band_energy

TRUTH = np.random.default_rng(0).normal(size=(2, 64, 64))


def test_equal_movies_have_equal_energy():
    assert band_energy(TRUTH, TRUTH, low=0.1, high=0.3) == pytest.approx(1.0)


def test_blur_takes_energy_by_its_known_share():
    """A Gaussian of sigma 1 leaves exp(-4 pi^2 f^2) of the energy at f cycles per pixel."""
    blurred = gaussian_filter(TRUTH, (0, 1, 1))
    share = band_energy(blurred, TRUTH, low=0.19, high=0.21)
    assert share == pytest.approx(np.exp(-4 * np.pi**2 * 0.2**2), rel=0.1)


def test_noise_adds_energy():
    assert band_energy(2 * TRUTH, TRUTH, low=0.1, high=0.5) == pytest.approx(4.0)


def test_a_constant_offset_is_not_fine_structure():
    assert band_energy(TRUTH + 1000, TRUTH, low=0.05, high=0.5) == pytest.approx(1.0, abs=1e-6)

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from pssr.metrics import psnr, ssim

RNG = np.random.default_rng(0)
TRUTH = RNG.random((3, 40, 50)) * 1000


def test_psnr_by_hand():
    assert psnr(np.full((2, 2), 11.0), np.full((2, 2), 1.0), data_range=100.0) == pytest.approx(20.0)
    assert psnr(TRUTH, TRUTH, data_range=1.0) == float("inf")


def test_psnr_as_others_compute_it():
    noisy = TRUTH + RNG.normal(0, 30, TRUTH.shape)
    expected = peak_signal_noise_ratio(TRUTH, noisy, data_range=1000.0)
    assert psnr(noisy, TRUTH, data_range=1000.0) == pytest.approx(expected)


def test_integers_do_not_wrap():
    assert psnr(
        np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8), data_range=255.0
    ) == pytest.approx(0.0)


def test_ssim_falls_with_noise_and_blur():
    smooth = np.cumsum(np.cumsum(TRUTH - 500, 1), 2)
    span = float(np.ptp(smooth))
    steps = [
        ssim(list(smooth + RNG.normal(0, s * span, smooth.shape)), list(smooth), data_range=span)
        for s in (0, 0.02, 0.1)
    ]
    assert steps[0] == pytest.approx(1.0)
    assert steps[0] > steps[1] > steps[2]


def test_movies_of_unequal_length_are_an_error():
    with pytest.raises(ValueError, match="shorter|longer"):
        ssim(list(TRUTH), list(TRUTH[:2]), data_range=1.0)

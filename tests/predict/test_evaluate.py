import numpy as np
import torch

from pssr.config import preset
from pssr.crappify.chain import crappifier
from pssr.data.intensity import Intensity
from pssr.predict.evaluate import acquire, bicubic, score

CHAIN = preset("movie").changed({"crappifier": ["bin", {"poisson": {"peak": 50}}]}).crappifier


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_an_acquisition_is_smaller_noisier_and_in_the_same_units(good_movie):
    low = acquire(good_movie, crappifier(CHAIN, 4), Intensity(200, 2000), rng())
    assert low.shape == (30, 24, 24)
    assert low.dtype == np.uint16
    assert abs(low.mean() / good_movie.mean() - 1) < 0.02
    assert np.array_equal(low, acquire(good_movie, crappifier(CHAIN, 4), Intensity(200, 2000), rng()))


def test_odd_sides_are_cut_to_the_scale(good_movie):
    low = acquire(good_movie[:2, :50, :47], crappifier(CHAIN, 4), Intensity(200, 2000), rng())
    assert low.shape == (2, 12, 11)


def test_bicubic_keeps_brightness_and_does_not_wrap():
    low = np.zeros((1, 8, 8), np.uint8)
    low[0, 4, 4] = 255
    large = bicubic(low, 4)
    assert large.shape == (1, 32, 32)
    assert large.dtype == np.uint8
    assert large[0, 16:20, 16:20].min() > 100
    assert large[0, :8].max() == 0


def test_perfect_and_steady_scores(good_movie):
    truth = good_movie[:2]
    scores = score(lambda low: truth.copy() if len(low) == 2 else truth[:1].repeat(len(low), 0), truth,
                   np.zeros((2, 48, 48), np.uint16), np.zeros((5, 48, 48), np.uint16), Intensity(200, 3000))  # fmt: skip
    assert (scores.psnr_db, scores.ssim, scores.flicker, scores.texture) == (float("inf"), 1.0, 0.0, 1.0)

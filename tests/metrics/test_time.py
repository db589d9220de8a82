import numpy as np
import pytest

from pssr.metrics import flicker


def test_a_steady_movie_does_not_flicker():
    assert flicker(
        np.repeat(np.random.default_rng(0).random((1, 8, 8)), 5, 0), data_range=1.0
    ) == pytest.approx(0)


def test_flicker_is_the_noise_as_a_share_of_full_scale():
    noise = np.random.default_rng(0).normal(500, 20, (400, 16, 16))
    assert flicker(noise, data_range=1000.0) == pytest.approx(0.02, rel=0.02)


def test_flicker_by_hand_in_integers():
    still = np.array([[[0]], [[4]]], np.uint8)
    assert flicker(still, data_range=8.0) == pytest.approx(0.25)

import pytest
import torch

from pssr.training.optim import WARM_UP, average, one_cycle


def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing():
    rates = [one_cycle(k / 1000, 1e-3) for k in range(1001)]
    top = rates.index(max(rates))
    assert top == pytest.approx(1000 * WARM_UP, abs=1)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert (rates[0], max(rates), rates[-1]) == pytest.approx((4e-5, 1e-3, 1e-6))


def test_averaged_weights_follow_the_present_ones_with_the_memory_given():
    kept, now = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    average(kept, now, step=10**6, memory=0.9)
    torch.testing.assert_close(kept["w"], torch.full((2,), 0.1))


def test_the_first_average_forgets_the_start_almost_at_once():
    kept, now = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    average(kept, now, step=1, memory=0.999)
    assert float(kept["w"][0]) > 0.8

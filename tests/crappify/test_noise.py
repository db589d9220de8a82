import numpy as np
import pytest
import torch

from pssr.crappify.noise import Gaussian, Poisson
from pssr.crappify.settings import check_above
from pssr.errors import ConfigError


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def line_of_variance(step, levels=(0.05, 0.2, 0.5, 1.0)) -> tuple[float, float]:
    """Slope and intercept of variance on mean over flat fields."""
    noisy = [step(torch.full((1, 1, 512, 512), level), rng()) for level in levels]
    return tuple(np.polyfit([float(x.mean()) for x in noisy], [float(x.var()) for x in noisy], 1))


def test_shot_noise_has_a_variance_of_mean_over_peak():
    slope, intercept = line_of_variance(Poisson(peak=80.0))
    assert slope == pytest.approx(1 / 80, rel=0.02)
    assert abs(intercept) < 1e-4


def test_read_noise_is_the_same_at_every_brightness():
    slope, intercept = line_of_variance(Gaussian(sigma=0.03))
    assert abs(slope) < 2e-5
    assert intercept == pytest.approx(0.03**2, rel=0.02)


def test_both_together_give_a_line_with_slope_and_intercept():
    def both(frames, generator):
        return Gaussian(sigma=0.03)(Poisson(peak=80.0)(frames, generator), generator)

    slope, intercept = line_of_variance(both)
    assert slope == pytest.approx(1 / 80, rel=0.02)
    assert intercept == pytest.approx(0.03**2, rel=0.1)


@pytest.mark.parametrize("step", [Poisson(peak=50.0), Gaussian(sigma=0.05)])
def test_noise_keeps_the_mean(step):
    frames = torch.full((1, 1, 512, 512), 0.4)
    assert float(step(frames, rng()).mean()) == pytest.approx(0.4, abs=0.001)


def test_negative_light_counts_as_none():
    assert float(Poisson(peak=10.0)(torch.full((1, 1, 8, 8), -0.5), rng()).abs().max()) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(peak=0), "poisson.peak: 0 is not above 0"),
        (lambda: Gaussian(sigma=-0.1), "gaussian.sigma: -0.1 is below 0"),
        (lambda: Poisson(peak=(300.0, 30.0)), r"poisson.peak: \[300.0, 30.0\] runs downwards"),
        (lambda: check_above("poisson.peak", "bright", 0), "poisson.peak: 'bright' is not a number"),
    ],
)
def test_a_setting_out_of_range_is_refused(make, message: str):
    with pytest.raises(ConfigError, match=message):
        make()

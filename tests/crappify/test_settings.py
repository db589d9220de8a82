import pytest
import torch

from pssr.crappify.chain import crappifier
from pssr.crappify.noise import Gaussian, Poisson
from pssr.crappify.optics import Blur
from pssr.crappify.scanning import Response
from pssr.crappify.settings import Choice, LogUniform, Uniform, check_between, distribution, settle
from pssr.errors import ConfigError
from pssr.parts import Part


def drawn(value: object, n: int = 2000) -> torch.Tensor:
    return settle(Gaussian(value), n, torch.Generator().manual_seed(0)).sigma.flatten()


def test_equal_chances_between_two_numbers():
    sigma = drawn(Uniform(0.1, 0.3))
    assert float(sigma.min()) >= 0.1
    assert float(sigma.max()) <= 0.3
    assert float((sigma < 0.15).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(sigma, drawn((0.1, 0.3)))


def test_equal_chances_for_every_octave():
    sigma = drawn(LogUniform(0.01, 1.0))
    assert float((sigma < 0.1).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_equal_chances_for_each_choice():
    sigma = drawn(Choice((0.1, 0.4, 0.2)))
    assert sigma.unique().tolist() == pytest.approx([0.1, 0.2, 0.4])
    assert float((sigma == 0.2).float().mean()) == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"uniform": [1, 2]}, Uniform(1, 2)),
        ({"log_uniform": [1, 2]}, LogUniform(1, 2)),
        ({"choice": [1, 2, 3]}, Choice((1, 2, 3))),
        ([1, 2], [1, 2]),
        (3.0, 3.0),
    ],
)
def test_distributions_as_yaml_has_them(written, meant):
    assert distribution(written) == meant


def test_distributions_are_used_in_a_chain():
    chain = crappifier([Part("poisson", {"peak": {"choice": [5, 500]}})], 1)
    noise = chain(torch.ones(64, 1, 64, 64), torch.Generator().manual_seed(0)).var((1, 2, 3))
    assert sorted({round(float(v), 2) for v in noise.round(decimals=1)}) == [0.0, 0.2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: distribution({"normal": [0, 1]}), "normal: no such distribution; choose from uniform"),
        (lambda: distribution({"uniform": [1, 2, 3]}), "uniform: .* will not do"),
        (lambda: distribution({"uniform": 3}), "uniform: 3 will not do"),
        (lambda: LogUniform(0, 1), "not above 0"),
        (lambda: Choice(()), "nothing to choose from"),
        (lambda: Poisson(-3), "poisson.peak: -3 is not above 0"),
        (lambda: Poisson(gain=2), "give gain and full_scale"),
        (lambda: Poisson((80, 10)), "runs downwards"),
        (lambda: Gaussian(float("nan")), "is not a number"),
        (lambda: Gaussian(Uniform(-0.1, 0.1)), "gaussian.sigma: -0.1 is below 0"),
        (lambda: Response(1.2), "response.correlation: 1.2 is not between 0 and 0.95"),
        (lambda: check_between("a.b", True, 0, 1), "is not a number"),
        (lambda: Blur(sigma_px=1, sigma_um=2), "blur: sigma_px and sigma_um will not do"),
        (lambda: Blur(sigma_um=2), "give sigma_px, or sigma_um and pixel_size_um"),
        (lambda: Blur(psf=((1.0, 2.0),)), "not a rectangle of odd sides"),
        (lambda: Blur(psf=((0.0,),)), "no light at all"),
    ],
)
def test_absurd_settings_are_refused_in_one_sentence(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def fails(frames):
    raise ValueError("no")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fails, r"step 1 \(fails\): fails on a small grey frame \(no\)"),
        (lambda frames: frames[:, 0], "it must keep the first two"),
        (lambda frames: frames.numpy(), "makes ndarray"),
        (lambda frames: (frames - 1).log(), "values that are no numbers"),
        (lambda frames: frames[..., ::3, ::3], "at scale 1 it must make 24 x 24"),
    ],
)
def test_a_wrong_step_of_ones_own_is_refused_before_any_training(step, message):
    with pytest.raises(ConfigError, match=message):
        crappifier([step], 1)

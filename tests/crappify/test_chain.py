from functools import partial

import pytest
import torch

from pssr.config import preset, presets
from pssr.crappify.chain import crappifier, is_random, part_of
from pssr.crappify.noise import Gaussian, Poisson
from pssr.crappify.optics import Bin, Blur
from pssr.crappify.scanning import LineJitter
from pssr.errors import ConfigError, ShapeError
from pssr.parts import Part

MOVIE = preset("movie").crappifier


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bundles(n: int = 4) -> torch.Tensor:
    return torch.rand(n, 3, 48, 48, generator=rng(9))


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_every_preset_gives_frames_smaller_by_the_scale(name: str, scale: int):
    low = crappifier(preset(name).crappifier, scale)(bundles(), rng())
    assert low.shape == (4, 3, 48 // scale, 48 // scale)


def test_the_mean_stays():
    flat = torch.full((8, 3, 192, 192), 0.5)
    assert float(crappifier(MOVIE, 4)(flat, rng()).mean()) == pytest.approx(0.5, abs=0.002)


def test_the_same_seed_gives_the_same_noise_and_another_call_other_noise():
    make_bad, generator = crappifier(MOVIE, 4), rng(3)
    first, second = make_bad(bundles(), generator), make_bad(bundles(), generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, make_bad(bundles(), rng(3)))


def test_two_draws_differ_in_their_noise_alone():
    first, second = crappifier(MOVIE, 4).two_draws(bundles(64), rng())
    assert not torch.equal(first, second)
    # The noise has no mean and is independent, so the difference averages out where a fixed part would not.
    assert float((first - second).mean().abs()) < 0.003
    correlation = torch.corrcoef(
        torch.stack([(first - first.mean()).flatten(), (second - second.mean()).flatten()])
    )
    assert float(correlation[0, 1]) > 0.2


def test_two_draws_share_the_fixed_steps():
    calls = []

    def halve(frames):
        calls.append(frames.shape)
        return frames / 2

    make_bad = crappifier([halve, Bin(), Gaussian(0.0)], 4)
    calls.clear()
    first, second = make_bad.two_draws(bundles(), rng())
    assert len(calls) == 1
    assert torch.equal(first, second)


def test_two_draws_share_their_settings():
    # With a spread of settings this wide, draws of different settings would differ by far more than their noise.
    make_bad = crappifier([Blur((0.1, 8.0)), Bin(), Gaussian(1e-6)], 4)
    first, second = make_bad.two_draws(bundles(), rng())
    assert float((first - second).abs().max()) < 1e-4


def test_settings_are_drawn_for_each_bundle_and_noise_for_each_frame():
    low = crappifier([Bin(), Gaussian((0.0, 0.2))], 4)(torch.zeros(32, 3, 64, 64), rng())
    sigmas = low.std((2, 3))
    assert float(sigmas[:, 0].std()) > 0.03
    assert float((sigmas[:, 0] - sigmas[:, 1]).abs().max()) < 0.03
    assert not torch.equal(low[:, 0], low[:, 1])


def test_a_peak_is_drawn_with_equal_chances_per_octave():
    flat = torch.ones(600, 1, 24, 24)
    low = crappifier([Bin(), Poisson((10.0, 1000.0))], 1)(flat, rng())
    peaks = 1 / low.var((1, 2, 3))
    assert float((peaks < 100).float().mean()) == pytest.approx(0.5, abs=0.07)


def test_any_callable_of_the_right_shape_will_do():
    def mine(frames, generator):
        small = frames[:, :, ::2, ::2]
        return small + 0.1 * torch.randn(small.shape, generator=generator)

    assert is_random(mine)
    first, second = crappifier([mine], 2).two_draws(bundles(), rng())
    assert first.shape == (4, 3, 24, 24)
    assert not torch.equal(first, second)


def test_a_chain_that_does_not_end_at_the_scale_is_refused_when_it_is_built():
    with pytest.raises(ConfigError, match="at scale 4 it must make"):
        crappifier([Part("bin", {"factor": 2})], 4)
    with pytest.raises(ConfigError, match="blurr: no part of that name; did you mean 'blur'"):
        crappifier([Part("blurr")], 4)


def test_frames_that_are_no_multiple_of_the_scale_are_refused():
    with pytest.raises(ShapeError, match="at scale 4"):
        crappifier(MOVIE, 4)(torch.rand(1, 3, 46, 48), rng())


def test_thin_filaments_disappear_as_noise_grows():
    """The recall of filaments one pixel wide falls with the noise: too much teaches a network to erase them."""
    phantom = torch.zeros(1, 1, 256, 256)
    phantom[..., 2::16] = 1.0
    lines = torch.zeros(64, dtype=torch.bool)
    lines[0::4] = True

    def recall(sigma: float) -> float:
        low = crappifier([Bin(), Gaussian(sigma)], 4)(phantom, rng())[0, 0]
        return float((low[:, lines] > 0.125).float().mean() - (low[:, ~lines] > 0.125).float().mean())

    recalls = [recall(sigma) for sigma in (0.01, 0.1, 0.3, 1.0)]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[0] > 0.99
    assert recalls[-1] < 0.3


@pytest.mark.parametrize("needed", [True, False])
def test_a_step_may_take_the_generator_by_name(needed):
    def by_keyword(frames, *, rng):
        return frames[..., ::2, ::2] + torch.randn(frames[..., ::2, ::2].shape, generator=rng)

    def by_default(frames, rng=None):
        return by_keyword(frames, rng=rng)

    make_bad = crappifier([by_keyword if needed else by_default], 2)
    first, second = make_bad.two_draws(bundles(), rng())
    assert not torch.equal(first, second)
    again, _ = make_bad.two_draws(bundles(), rng())
    assert torch.equal(first, again)


def stripes(frames: torch.Tensor, strength: float = 0.1) -> torch.Tensor:
    return frames + strength


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (LineJitter(0.3, factor=None), Part("line_jitter", {"sd_px": 0.3, "factor": None})),
        (Bin(), Part("bin", {"axes": "yx"})),
        (partial(stripes, strength=0.3), Part(f"{__name__}:stripes", {"strength": 0.3})),
        (stripes, Part(f"{__name__}:stripes")),
    ],
)
def test_a_step_is_named_so_that_it_can_be_made_again(step, part):
    assert part_of(step) == part

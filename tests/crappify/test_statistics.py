"""What each degradation does, measured on flat fields, ramps and points."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.filters import gaussian

from pssr.crappify.artefacts import Grayscale, Jpeg, Overlay, Photometric
from pssr.crappify.chain import STEPS, crappifier, is_random
from pssr.crappify.noise import (
    Gaussian,
    LocalVariance,
    Offset,
    Poisson,
    PssrNoise,
    Quantize,
    SaltPepper,
    Saturate,
)
from pssr.crappify.optics import Bin, Blur, Resize
from pssr.crappify.scanning import Banding, Bleaching, Drift, Flyback, LineJitter, Response
from pssr.crappify.settings import settle
from pssr.errors import ShapeError


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(level: float = 0.5, n: int = 8, f: int = 3, side: int = 192) -> torch.Tensor:
    return torch.full((n, f, side, side), level)


def ramp(n: int = 8, f: int = 3, side: int = 96) -> torch.Tensor:
    """A plane whose value is its column."""
    return torch.arange(side, dtype=torch.float32).expand(n, f, side, side).clone()


def run(step, frames: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = rng(seed)
    step = settle(step, frames.shape[0], generator)
    return step(frames, generator) if is_random(step) else step(frames)


# Of every step


@pytest.mark.parametrize("name", STEPS)
def test_a_step_says_whether_it_is_random_and_is_the_same_for_the_same_seed(name):
    step = STEPS[name]()
    assert is_random(step) == step.random
    frames = torch.rand(4, 3, 48, 48, generator=rng(1))
    one, again, other = (run(step, frames, seed) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert torch.equal(one, other) != step.random
    assert one.shape[:2] == (4, 3)
    assert one.dtype == torch.float32


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step.mean == "kept"])
@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_mean_of_a_flat_field_is_kept(name, level):
    # A flat field of 8 x 3 x 192 x 192 pixels: its mean is known to a few ten-thousandths.
    assert float(run(STEPS[name](), flat(level)).mean()) == pytest.approx(level, rel=0.005)


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if not step.random])
def test_two_draws_share_what_is_not_random_exactly(name):
    kept = crappifier([STEPS[name]()], 1)
    first, second = kept.two_draws(torch.rand(2, 3, 48, 48, generator=rng(1)), rng())
    assert torch.equal(first, second)


# Noise


@pytest.mark.parametrize("peak", [10, 50, 400])
@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.1])
def test_variance_is_gain_times_mean_plus_read_noise_squared(peak, sigma):
    for level in (0.05, 0.3, 0.8):
        noisy = run(Gaussian(sigma), run(Poisson(peak), flat(level, n=16)), 1)
        assert float(noisy.var()) == pytest.approx(level / peak + sigma**2, rel=0.02)


def test_gain_in_counts_is_the_same_as_photons_at_full_scale():
    assert torch.equal(run(Poisson(gain=2.0, full_scale=400.0), flat()), run(Poisson(200.0), flat()))


def test_noise_is_not_alike_in_neighbours_frames_or_bundles():
    noise = run(Gaussian(0.1), run(Poisson(50.0), flat())) - 0.5
    for shifted in (noise.roll(1, 0), noise.roll(1, 1), noise.roll(1, 2), noise.roll(1, 3)):
        assert abs(float((noise * shifted).mean() / noise.var())) < 0.005


def test_local_variance_follows_the_blurred_brightness():
    assert float(run(LocalVariance(0.2, 3.0), flat(0.4)).var()) == pytest.approx(0.08, rel=0.02)


def test_salt_and_pepper_have_their_shares():
    spoilt = run(SaltPepper(salt=0.02, pepper=0.01), flat())
    assert float((spoilt == 1).float().mean()) == pytest.approx(0.02, rel=0.03)
    assert float((spoilt == 0).float().mean()) == pytest.approx(0.01, rel=0.03)


def test_the_published_noise_keeps_the_maximum():
    frames = 0.7 * torch.rand(4, 3, 64, 64, generator=rng(1))
    noisy = run(PssrNoise(), frames)
    torch.testing.assert_close(noisy.amax((-2, -1)), frames.amax((-2, -1)))
    assert float(noisy.min()) >= 0


def test_a_converter_has_two_to_the_bits_levels():
    levels = run(Quantize(3), torch.linspace(-0.2, 1.2, 64 * 64).reshape(1, 1, 64, 64)).unique()
    torch.testing.assert_close(levels, torch.arange(8) / 7)


def test_offset_and_saturation():
    assert torch.allclose(run(Offset(0.1), flat()), flat(0.6))
    assert float(run(Saturate(0.4), ramp() / 50 - 0.1).max()) == pytest.approx(0.4)
    assert float(run(Saturate(0.4), ramp() / 50 - 0.1).min()) == 0


# Optics


def test_a_given_function_blurs_as_its_gaussian_does():
    point = np.zeros((13, 13))
    point[6, 6] = 1
    psf = gaussian(point, 1.5, truncate=4)
    frames = torch.rand(1, 2, 40, 40, generator=rng(1))
    by_rows = run(Blur(psf=tuple(map(tuple, psf.tolist()))), frames)
    torch.testing.assert_close(by_rows, run(Blur(sigma_px=1.5), frames), atol=5e-3, rtol=0)
    assert torch.equal(
        run(Blur(sigma_um=0.06, pixel_size_um=0.04), frames), run(Blur(sigma_px=0.06 / 0.04), frames)
    )


def test_an_asymmetric_function_is_not_mirrored():
    psf = ((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    assert run(Blur(psf=psf), point)[0, 0].argmax() == 3 * 9 + 5


def test_resampling_is_that_of_image_programs():
    frames = torch.rand(1, 1, 64, 64, generator=rng(1))
    for kernel, method in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
        theirs = Image.fromarray(frames[0, 0].numpy()).resize((16, 16), method)
        np.testing.assert_allclose(run(Resize(4, kernel), frames)[0, 0], theirs, atol=1e-5)
    # Without antialiasing, a quarter of the size is the mean of the central two by two of each four by four.
    central = frames.reshape(1, 1, 16, 4, 16, 4)[:, :, :, 1:3, :, 1:3].mean((3, 5))
    torch.testing.assert_close(run(Resize(4, "bilinear", antialias=False), frames), central)
    torch.testing.assert_close(run(Resize(4, "area"), frames), run(Bin(4), frames))


@pytest.mark.parametrize(("antialias", "share"), [(False, 0.25), (True, 0.027)])
def test_resampling_keeps_the_share_of_white_noise_that_it_should(antialias, share):
    noise = torch.randn(4, 3, 256, 256, generator=rng(1))
    assert float(run(Resize(4, antialias=antialias), noise).var()) == pytest.approx(share, rel=0.05)


# Scanning


def test_lines_are_shifted_by_as_much_as_was_asked_for():
    shift = (run(LineJitter(0.8), ramp()) - ramp())[..., 8:-8]
    assert float(shift.std(-1).max()) < 1e-3
    by_line = shift.mean(-1)
    assert float(by_line.std()) == pytest.approx(0.8, rel=0.05)
    assert abs(float((by_line[..., 1:] * by_line[..., :-1]).mean())) < 0.05


def test_the_beginning_of_a_line_is_drawn_out():
    shift = (run(Flyback(4.0, 8.0), ramp()) - ramp())[0, 0, 0]
    torch.testing.assert_close(shift[:60], 4 * torch.exp(-torch.arange(60) / 8), atol=1e-4, rtol=1e-4)


def test_frames_drift_and_the_middle_one_stays():
    moved = run(Drift(0.7), ramp(n=400, f=5, side=48))
    shift = (moved - ramp(n=400, f=5, side=48))[..., 12:-12, 12:-12].mean((-2, -1))
    assert float(shift[:, 2].abs().max()) < 1e-4
    for frame, steps in ((0, 2), (1, 1), (3, 1), (4, 2)):
        assert float(shift[:, frame].std()) == pytest.approx(0.7 * steps**0.5, rel=0.15)


@pytest.mark.parametrize("lines", [0.3, 4.0])
def test_bands_have_the_strength_and_the_width_asked_for(lines):
    band = run(Banding(0.1, lines), flat(side=256))[..., 0] / 0.5 - 1
    assert float(band.std()) == pytest.approx(0.1, rel=0.05)
    alike = float((band[..., 1:] * band[..., :-1]).mean() / band.var())
    assert alike == pytest.approx(np.exp(-1 / lines), abs=0.05)


def test_frames_bleach_around_the_middle_one():
    means = run(Bleaching(0.1), flat(0.5, f=5)).mean((0, 2, 3))
    torch.testing.assert_close(means, 0.5 * 0.9 ** torch.arange(-2.0, 3.0))


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_a_slow_detector_makes_neighbours_along_the_line_alike(correlation):
    noise = run(Response(correlation), torch.randn(8, 3, 192, 192, generator=rng(1)))
    noise = noise[..., 40:]
    assert float((noise[..., 1:] * noise[..., :-1]).mean() / noise.var()) == pytest.approx(
        correlation, abs=0.01
    )
    assert abs(float((noise[..., 1:, :] * noise[..., :-1, :]).mean() / noise.var())) < 0.01


# Pictures


def test_compression_loses_more_at_lower_quality():
    x = torch.arange(64) / 64
    frames = (0.5 + 0.4 * torch.sin(20 * x[None, :] * x[:, None])).expand(2, 3, 64, 64)
    losses = [float((run(Jpeg(quality), frames) - frames).std()) for quality in (95, 50, 10)]
    assert losses == sorted(losses)
    assert 0 < losses[0] < 0.01 < losses[-1]


@pytest.mark.parametrize("kind", ["text", "scale_bar", "time_stamp"])
def test_marks_are_where_their_mask_says(kind):
    frames = 0.5 * torch.rand(4, 3, 64, 96, generator=rng(1))
    marked, mask = Overlay(kind).marked(frames, rng())
    assert (mask.flatten(1).sum(1) > 20).all()
    assert (mask.float().mean((2, 3)) < 0.3).all()
    assert (marked[mask] == 1).all()
    assert torch.equal(marked[~mask], frames[~mask])
    assert torch.equal(mask[:, 0], mask[:, 1]) == (kind != "time_stamp")
    assert not torch.equal(mask[0], mask[1])


def test_a_corner_is_a_corner():
    mask = Overlay("scale_bar", corner="bottom_right").marked(flat(side=128), rng())[1][0, 0]
    rows, columns = torch.where(mask)
    assert rows.min() > 80
    assert columns.max() > 110


def test_colours_become_their_brightness():
    grey = run(Grayscale(), torch.tensor([1.0, 0.5, 0.25]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4))
    torch.testing.assert_close(grey, torch.full((1, 3, 4, 4), 0.299 + 0.587 / 2 + 0.114 / 4))
    with pytest.raises(ShapeError, match="give a multiple of three"):
        run(Grayscale(), flat(f=2))


def test_brightness_contrast_and_gamma():
    frames = torch.tensor([0.25, 0.5, 0.75, 1.0]).reshape(1, 1, 2, 2)
    expected = torch.tensor([0.0, 0.6, 1.0, 1.0]).reshape(1, 1, 2, 2) ** 2
    torch.testing.assert_close(run(Photometric(0.1, 4.0, 2.0), frames), expected)

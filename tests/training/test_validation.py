from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from pssr.crappify.chain import Crappifier, crappifier
from pssr.crappify.noise import Gaussian, Poisson
from pssr.crappify.optics import Bin, Blur
from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity
from pssr.data.patches import Partner, Patches
from pssr.data.split import Piece
from pssr.metrics import ssim
from pssr.networks import network
from pssr.parts import Part
from pssr.simulate import tubules
from pssr.training.steps import repeated_alike
from pssr.training.validation import EXAMPLES, bicubic, hold, validate

CPU = torch.device("cpu")
UNIT = Intensity(0.0, 1.0)
MOVIE = np.clip(tubules(frames=9, size_px=128, seed=3).frames, 0, 1).astype(np.float32)


class Bicubic(torch.nn.Module):
    """The baseline as a network."""

    scale, frames, halo, multiple, local = 2, 3, 4, 1, True

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        return bicubic(low[:, 1:2], 2)


def patches(size_px: int = 64, partner: np.ndarray | None = None) -> Patches:
    movies = [MOVIE] if partner is None else [MOVIE, partner]
    partners = {} if partner is None else {0: Partner(1, UNIT, 2)}
    return Patches(
        PlaneCache(movies), [Piece(0, 0, 9, 0, 128)], [UNIT], frames=3, ends="reflect", size_px=size_px, batch=1, seed=0,
        partners=partners,
    )  # fmt: skip


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def noisy() -> Crappifier:
    return crappifier([Blur(), Bin(2), Poisson(peak=20.0), Gaussian(sigma=0.02)], 2)


def test_the_first_draw_is_that_of_a_single_pass():
    """So that scores stay comparable with those of runs from before there was a second one."""
    good = torch.from_numpy(np.stack([patches()[k][0] for k in range(EXAMPLES)]))
    held = hold(patches(), noisy(), rng(), None)
    assert torch.equal(held.low, repeated_alike([noisy()(good, rng())], good)[0])


def test_the_second_draw_differs_in_its_noise():
    held = hold(patches(), noisy(), rng(), None)
    assert held.second.shape == held.low.shape
    assert 0.01 < float((held.low - held.second).std()) < 0.5
    assert abs(float((held.low - held.second).mean())) < 0.01


def test_what_is_held_is_the_same_every_time():
    one, other = (hold(patches(), noisy(), rng(), None) for _ in range(2))
    assert torch.equal(one.low, other.low)
    assert torch.equal(one.second, other.second)


def test_the_baseline_scores_as_the_baseline():
    held = hold(patches(), noisy(), rng(), None)
    found = validate(Bicubic(), held, CPU)
    assert found.psnr == pytest.approx(held.bicubic_psnr, abs=1e-4)
    good = list(held.good[:, 0].numpy())
    assert found.ssim == pytest.approx(ssim(list(held.bicubic[:, 0].numpy()), good, data_range=1.0), abs=1e-5)
    other = bicubic(held.second[:, 1:2], 2)
    assert found.difference == pytest.approx(float((held.bicubic - other).abs().mean()), rel=1e-5)


def test_without_noise_both_answers_are_the_same():
    found = validate(Bicubic(), hold(patches(), crappifier([Bin(2)], 2), rng(), None), CPU)
    assert found.difference == 0
    difference = panels(found.picture)[-1]
    assert (difference == difference[0, 0]).all()
    assert abs(int(difference[0, 0]) - 128) <= 1


def test_a_real_partner_is_compared_with_a_draw():
    real = MOVIE[:, ::2, ::2] + 0.25
    held = hold(patches(partner=real), crappifier([Bin(2)], 2), rng(), None)
    assert float((held.low - held.second).mean()) == pytest.approx(0.25, abs=0.02)
    assert validate(Bicubic(), held, CPU).difference == pytest.approx(0.25, abs=0.02)


def panels(picture: bytes) -> list[np.ndarray]:
    """The five pictures of a row, without their borders and titles."""
    row = np.asarray(Image.open(BytesIO(picture)).convert("L"))
    side = (row.shape[1] - 6 * 6) // 5
    return [row[-6 - side : -6, 6 + k * (side + 6) : 6 + k * (side + 6) + side] for k in range(5)]


@pytest.mark.parametrize(("size_px", "side"), [(16, 256), (48, 240), (64, 256), (100, 200), (128, 256)])
def test_a_picture_is_no_higher_than_256_px_and_its_pixels_are_whole(size_px: int, side: int):
    k = side // size_px
    picture = validate(Bicubic(), hold(patches(size_px), noisy(), rng(), None), CPU).picture
    for panel in panels(picture):
        assert panel.shape == (side, side)
        small = panel[::k, ::k]
        np.testing.assert_array_equal(np.kron(small, np.ones((k, k), np.uint8)), panel)


def test_a_network_is_validated_with_a_picture():
    torch.manual_seed(0)
    net = network(Part("edsr", {"width": 8, "blocks": 1}), frames=3, scale=2).eval()
    found = validate(net, hold(patches(), noisy(), rng(), 0.1), CPU)
    assert 0 < found.psnr < 60
    assert -1 < found.ssim < 1
    assert found.difference > 0
    assert found.picture.startswith(b"\x89PNG")


def test_frames_smaller_than_the_window_of_ssim_have_none():
    found = validate(Bicubic(), hold(patches(8), noisy(), rng(), None), CPU)
    assert np.isnan(found.ssim)
    assert np.isfinite(found.psnr)

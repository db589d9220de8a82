import pytest
import torch

from pssr.crappify.optics import Bin, Blur, Subsample, check_factor
from pssr.errors import ConfigError


def ramp(side: int = 48) -> torch.Tensor:
    """A plane whose value is its column plus twice its row."""
    line = torch.arange(side, dtype=torch.float64)
    return (line[None, :] + 2 * line[:, None])[None, None]


def test_blur_has_the_width_it_says():
    point = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    point[0, 0, 20, 20] = 1
    spread = Blur(sigma_px=2.0)(point)[0, 0]
    offsets = torch.arange(41, dtype=torch.float64) - 20
    variance = (spread.sum(0) * offsets**2).sum()
    assert spread.sum() == pytest.approx(1, abs=1e-9)
    assert variance.sqrt() == pytest.approx(2.0, rel=0.02)


def test_blur_takes_another_width_for_every_bundle():
    point = torch.zeros(2, 3, 31, 31)
    point[:, :, 15, 15] = 1
    out = Blur(sigma_px=torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))(point)
    assert out[0, 0, 15, 15] > 3 * out[1, 0, 15, 15]
    assert torch.equal(out[0, 0], out[0, 2])


def test_no_blur_changes_nothing():
    assert torch.equal(Blur(sigma_px=0.0)(ramp()), ramp())


@pytest.mark.parametrize("step", [Bin, Subsample])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_both_samplings_put_each_pixel_over_the_middle_of_what_it_covers(step: type, factor: int):
    low = step(factor=factor)(ramp())[0, 0]
    middle = torch.arange(48 // factor, dtype=torch.float64) * factor + (factor - 1) / 2
    assert low.shape == (48 // factor, 48 // factor)
    torch.testing.assert_close(low, middle[None, :] + 2 * middle[:, None])


def test_binning_keeps_the_mean_exactly():
    frames = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(Bin(factor=4)(frames).mean((2, 3)), frames.mean((2, 3)))


def test_a_line_scanner_integrates_along_one_axis_and_skips_along_the_other():
    frames = torch.rand(1, 1, 32, 32)
    low = Subsample(factor=4, axes="y")(Bin(factor=4, axes="x")(frames))
    assert low.shape == (1, 1, 8, 8)
    by_hand = frames[0, 0].reshape(32, 8, 4).mean(2)
    torch.testing.assert_close(low[0, 0, 0], (by_hand[1] + by_hand[2]) / 2)


@pytest.mark.parametrize(
    "make",
    [lambda: Bin(factor=0), lambda: check_factor("subsample.factor", 2.5), lambda: Blur(sigma_px=-1.0)],
)
def test_a_setting_out_of_range_is_refused(make):
    with pytest.raises(ConfigError, match=r"bin.factor|subsample.factor|blur.sigma_px: -1.0 is below 0"):
        make()

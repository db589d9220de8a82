import pytest

from pssr.crappify.chain import crappifier
from pssr.crappify.noise import Gaussian
from pssr.crappify.optics import Bin, Blur
from pssr.crappify.thin import BACKGROUND, DETECTABLE, LIGHT, contrast_to_noise


def test_a_filament_as_wide_as_a_pixel_has_its_whole_contrast():
    rises = contrast_to_noise(crappifier([Bin(), Gaussian(0.1)], 1))
    # Few draws tell the noise to a seventh.
    assert rises[1] == pytest.approx((LIGHT - BACKGROUND) / 0.1, rel=0.15)


def test_wider_filaments_rise_further():
    rises = list(contrast_to_noise(crappifier([Bin(), Gaussian(0.05)], 4)).values())
    assert rises == sorted(rises)
    assert rises[0] < rises[-1] / 2


@pytest.mark.parametrize(
    "worse",
    [lambda k: [Bin(), Gaussian(0.02 * 3**k)], lambda k: [Blur(0.5 + 2.0 * k), Bin(), Gaussian(0.05)]],
)
def test_more_noise_or_blur_buries_them(worse):
    rises = [contrast_to_noise(crappifier(worse(k), 4))[1] for k in range(3)]
    assert rises == sorted(rises, reverse=True)
    assert rises[0] > DETECTABLE > rises[-1]


def test_the_worse_direction_counts():
    """A scanner that smears across its lines loses the filaments along them, and no others."""

    def smeared(frames):
        return frames.mean(-2, keepdim=True).expand_as(frames)

    assert contrast_to_noise(crappifier([Bin(), Gaussian(0.02)], 4))[1] > DETECTABLE
    assert contrast_to_noise(crappifier([smeared, Bin(), Gaussian(0.02)], 4))[1] < DETECTABLE

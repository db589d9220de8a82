import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter

from pssr.crappify.registration import Registration, aligned, binned, checked, covered, register, whole_scale
from pssr.errors import ConfigError
from pssr.simulate import tubules

SCALE, SIZE = 4, 96


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    """A sharp field, larger than what is taken of it: (512, 512)."""
    return tubules(frames=1, size_px=512, seed=3).frames[0]


def high(field: np.ndarray) -> np.ndarray:
    edge = (512 - SIZE * SCALE) // 2
    return field[edge : edge + SIZE * SCALE, edge : edge + SIZE * SCALE]


def acquired(field: np.ndarray, shift=(0.0, 0.0), zoom=1.0, photons=50.0, seed=0) -> np.ndarray:
    """A noisy low-resolution frame whose middle shows what is `shift` low-resolution pixels before that of high."""
    side = SIZE * SCALE
    offset = (512 - 1) / 2 - ((side - 1) / 2 + np.array(shift) * SCALE) / zoom
    sharp = affine_transform(field, np.full(2, 1 / zoom), offset, (side, side), order=3, mode="nearest")
    light = sharp.reshape(SIZE, SCALE, SIZE, SCALE).mean((1, 3)).clip(0)
    return np.random.default_rng(seed).poisson(light * photons) * 3.0 + 100


@pytest.mark.parametrize(
    ("shift", "zoom"), [((0, 0), 1), ((0.3, -0.2), 1), ((3.2, -5.1), 1), ((0.3, 0), 1.01), ((0.5, 1), 0.98)]
)
@pytest.mark.parametrize("photons", [10, 50])
def test_a_planted_shift_and_size_are_found_and_undone(field, shift, zoom, photons):
    low = acquired(field, shift, zoom, photons)
    found = register(high(field), low, SCALE)
    assert found.shift_px == pytest.approx(shift, abs=0.12)
    assert found.zoom == pytest.approx(zoom, abs=0.003)
    assert found.worst_px == pytest.approx(max(np.abs(shift)) + abs(zoom - 1) * SIZE / 2, abs=0.25)
    after = register(aligned(high(field), found), low, SCALE)
    assert after.worst_px < 0.15


def test_what_lies_right_is_left_as_it_is(field):
    sharp = high(field)
    still = Registration((0.0, 0.0), 1.0, (SIZE, SIZE), SCALE, 1.0, 0.0)
    np.testing.assert_allclose(aligned(sharp, still), sharp, atol=1e-5)


def test_a_high_frame_is_cut_to_what_the_low_one_covers(field):
    still = Registration((0.0, 0.0), 1.0, (SIZE, SIZE), SCALE, 1.0, 0.0)
    assert aligned(np.pad(high(field), ((0, 3), (0, 2))), still).shape == (SIZE * SCALE, SIZE * SCALE)


def test_another_field_is_refused_and_a_noisy_one_is_not(field):
    low = acquired(field, photons=5)
    assert checked(register(high(field), low, SCALE), "a", align=False).correlation > 0.4
    with pytest.raises(ConfigError, match="a: low and high do not show the same field"):
        checked(register(high(field)[::-1, ::-1], low, SCALE), "a", align=True)


def test_half_a_pixel_is_accepted_and_more_is_not_unless_asked_for(field):
    near, far = (register(high(field), acquired(field, (0.0, s)), SCALE) for s in (0.35, 0.8))
    assert checked(near, "a", align=False) is near
    assert checked(far, "a", align=True) is far
    with pytest.raises(ConfigError, match=r"a: low is shifted by .* lies 0\.[78]\d .*--register"):
        checked(far, "a", align=False)


def test_tiny_frames_are_registered_as_a_whole(field):
    low = acquired(field, (0.0, 1.0))[:40, :40]
    found = register(high(field)[: 40 * SCALE, : 40 * SCALE], low, SCALE)
    assert found.zoom == 1
    assert found.shift_px == pytest.approx((0, 1), abs=0.2)


def test_the_scale_is_one_whole_number():
    assert whole_scale((3, 512, 515), (9, 128, 128)) == 4
    assert whole_scale((64, 64), (64, 64)) == 1
    for sizes in (((100, 128), (32, 32)), ((64, 64), (128, 128)), ((512, 512), (128, 200))):
        with pytest.raises(ConfigError, match="one whole number of times"):
            whole_scale(*sizes)


def test_a_field_that_is_black_but_for_a_spot_is_registered_as_a_whole():
    sharp = np.zeros((1024, 1024))
    sharp[128, 128] = 5e4
    sharp = gaussian_filter(sharp, 4.0)
    low = np.random.default_rng(0).poisson(binned(sharp, 2) + 20)
    found = register(sharp, low, 2)
    assert found.zoom == 1.0
    assert found.shift_px == pytest.approx((0, 0), abs=0.2)


@pytest.mark.parametrize(
    ("shift", "zoom", "rows", "columns"),
    [
        ((0.0, 0.0), 1.0, (0, 96), (0, 96)),
        ((0.05, -0.05), 1.0, (0, 96), (0, 96)),
        ((2.4, -3.0), 1.0, (3, 96), (0, 93)),
        ((0.0, 0.0), 0.9, (5, 91), (5, 91)),
    ],
)
def test_what_both_frames_show_is_known(shift, zoom, rows, columns):
    found = Registration(shift, zoom, (SIZE, SIZE), SCALE, 1.0, 0.0)
    assert covered(found) == (slice(*rows), slice(*columns))

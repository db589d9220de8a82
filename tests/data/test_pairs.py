import numpy as np
import pytest

from pssr.data.intensity import Intensity, measure
from pssr.data.pairs import paired, partner_scale
from pssr.errors import ConfigError
from pssr.io.open import open_stack
from pssr.simulate import tubules

SCALE = 4


@pytest.fixture(scope="module")
def high() -> np.ndarray:
    """(4, 256, 256) counts."""
    return np.rint(200 + 3000 * tubules(frames=4, size_px=256, seed=2).frames).astype(np.uint16)


def fast(high: np.ndarray, gain: float = 0.2, offset: float = 50.0) -> np.ndarray:
    """A quarter of the pixels, fewer and noisier counts."""
    t, y, x = high.shape
    light = high.reshape(t, y // SCALE, SCALE, x // SCALE, SCALE).mean((2, 4))
    return (np.random.default_rng(0).poisson(gain * light) + offset).astype(np.uint16)


def test_counts_of_both_are_put_on_one_scale(high):
    pair = paired(high, fast(high), SCALE, align=False)
    good = measure(high)
    scale = partner_scale(pair, good, SCALE)
    assert scale.low == pytest.approx(0.2 * good.low + 50, rel=0.05)
    assert scale.high == pytest.approx(0.2 * good.high + 50, rel=0.05)


def test_a_movie_that_lies_off_is_moved_when_asked_for(high):
    low = fast(np.roll(high, 4, 2))
    with pytest.raises(ConfigError, match="low: low is shifted by .* say align=True"):
        paired(high, low, SCALE, align=False)
    pair = paired(high, low, SCALE, align=True)
    assert pair.found.shift_px == pytest.approx((0, 1), abs=0.1)
    # The first column of low shows nothing of high.
    assert pair.high[2].shape == (256, 252)
    moved, true = pair.high[2][8:-8, 8:-8], high[2][8:-8, 8:-12].astype(float)
    assert np.abs(moved - true).mean() < 0.1 * np.abs(high[2][8:-8, 12:-8] - true).mean()


def test_what_lies_beyond_the_high_movie_is_trained_on_by_neither(high):
    low = fast(np.roll(high, 24, 1))
    pair = paired(high, low, SCALE, align=True)
    assert pair.low[0].shape == (58, 64)
    assert pair.high[0].shape == (58 * SCALE, 64 * SCALE)
    np.testing.assert_array_equal(pair.low[1], low[1, 6:])
    true = high[1, : 58 * SCALE].astype(float)
    assert np.abs(pair.high[1] - true).mean() < 0.2 * np.abs(np.roll(true, 4, 0) - true).mean()


def test_what_the_partner_does_not_cover_is_cut(high):
    wide = np.pad(high, ((0, 0), (0, 3), (0, 2)))
    pair = paired(wide, fast(high), SCALE, align=False)
    assert pair.high[0].shape == (256, 256)
    assert len(pair.high) == 4


def test_a_pair_has_the_name_and_the_file_of_its_high_movie(high, tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", high, photometric="minisblack", metadata={"axes": "TYX"})
    movie = open_stack(tmp_path / "a.tif").movie()
    pair = paired(movie, fast(high), SCALE, align=False)
    assert pair.high.name == movie.name
    assert pair.high.stack.path == tmp_path / "a.tif"
    with pytest.raises(AttributeError):
        _ = paired(high, fast(high), SCALE, align=False).high.stack


@pytest.mark.parametrize(
    ("low", "message"),
    [
        (lambda high: fast(high)[:3], "has 3 frames for 4 of high"),
        (lambda high: fast(high)[:, :50], "one whole number of times"),
        (lambda high: high, "high is 1 times as large, and the scale is 4"),
        (lambda high: fast(high[:, ::-1, ::-1]), "do not show the same field"),
    ],
)
def test_movies_that_are_no_pair_are_refused(high, low, message):
    with pytest.raises(ConfigError, match=message):
        paired(high, low(high), SCALE, align=False)


def test_a_partner_that_is_darker_where_the_other_is_brighter_is_refused(high):
    pair = paired(high, fast(high), SCALE, align=False)
    with pytest.raises(ConfigError, match="is darker where high is brighter"):
        partner_scale(pair, Intensity(3000.0, 200.0), SCALE)

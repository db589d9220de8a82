import numpy as np
import pytest

from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity
from pssr.data.patches import Partner, Patches
from pssr.data.split import Piece
from pssr.errors import ConfigError

UNIT = Intensity(0.0, 1.0)


def coordinates(frames: int = 6, side: int = 64) -> np.ndarray:
    """A movie whose pixels say where they are: 10000 t + 100 y + x."""
    t, y, x = np.ogrid[:frames, :side, :side]
    return (10000 * t + 100 * y + x).astype(np.float32)


def patches(movies, pieces, **changed) -> Patches:
    settings = {"frames": 3, "ends": "drop", "size_px": 16, "batch": 4, "seed": 0} | changed
    return Patches(PlaneCache(movies), pieces, [UNIT] * len(movies), **settings)


def test_all_frames_share_crop_flip_and_turn():
    cut = patches([coordinates()], [Piece(0, 0, 6, 0, 64)])
    for k in range(32):
        before, middle, after = cut[k][0]
        np.testing.assert_array_equal(middle - before, 10000)
        np.testing.assert_array_equal(after - middle, 10000)


def test_all_eight_flips_and_turns_occur():
    cut = patches([coordinates()], [Piece(0, 0, 6, 0, 64)], frames=1)
    steps = {
        (float(p[0, 0, 1] - p[0, 0, 0]), float(p[0, 1, 0] - p[0, 0, 0]))
        for p in (cut[k][0] for k in range(100))
    }
    assert steps == {(a, b) for x in (1, -1) for y in (100, -100) for a, b in ((x, y), (y, x))}


def test_a_patch_stays_in_its_piece():
    cut = patches([coordinates()], [Piece(0, 2, 5, 20, 50)], frames=1)
    values = np.stack([cut[k][0] for k in range(50)])
    t, y = values // 10000, values % 10000 // 100
    assert (t.min(), t.max()) == (2, 4)
    assert (y.min() >= 20, y.max() < 50) == (True, True)


def test_a_patch_depends_on_seed_step_and_item_alone():
    movie, piece = coordinates(), Piece(0, 0, 6, 0, 64)
    first = patches([movie], [piece])
    assert all(np.array_equal(first[k][0], patches([movie], [piece])[k][0]) for k in (9, 3, 5))
    assert not np.array_equal(first[3][0], patches([movie], [piece], seed=1)[3][0])
    assert not np.array_equal(first[3][0], first[4][0])


def test_patches_with_something_in_them_are_preferred():
    movie = np.zeros((1, 256, 256), np.float32)
    movie[0, 100:130, 100:130] = np.random.default_rng(0).random((30, 30))
    piece = [Piece(0, 0, 1, 0, 256)]

    def filled(tries: int) -> float:
        cut = patches([movie], piece, frames=1, size_px=32, tries=tries)
        return float(np.mean([cut[k][0].std() > 0 for k in range(200)]))

    assert filled(8) > 2 * filled(1)


def test_large_movies_are_drawn_from_more_often():
    small, large = np.zeros((2, 32, 32), np.float32), np.ones((18, 32, 32), np.float32)
    cut = patches([small, large], [Piece(0, 0, 2, 0, 32), Piece(1, 0, 18, 0, 32)], frames=1)
    assert np.mean([cut[k][0].mean() for k in range(300)]) == pytest.approx(0.9, abs=0.06)


def test_a_patch_larger_than_the_movie_is_refused():
    with pytest.raises(ConfigError, match=r"data.patch_px: 96 is larger than a movie of 64 x 64 px"):
        patches([coordinates()], [Piece(0, 0, 6, 0, 64)], size_px=96)


def test_a_partner_is_cut_flipped_and_turned_like_its_good_movie():
    movie = coordinates()
    low = movie[:, ::2, ::2]
    cut = patches([movie, low], [Piece(0, 0, 6, 0, 64)], partners={0: Partner(1, UNIT, 2)})
    for k in range(40):
        good, bad = cut[k]
        assert bad.shape == (3, 8, 8)
        # The corner of a block of two by two that is the low pixel is the smallest of the four.
        np.testing.assert_array_equal(bad, good.reshape(3, 8, 2, 8, 2).min((2, 4)))


def test_a_movie_without_partner_gives_no_numbers_beside_those_that_have_one():
    movie = coordinates()
    cut = patches(
        [movie, movie, movie[:, ::2, ::2]],
        [Piece(0, 0, 6, 0, 64), Piece(1, 0, 6, 0, 64)],
        partners={0: Partner(2, UNIT, 2)},
    )
    absent = [bool(np.isnan(cut[k][1]).all()) for k in range(40)]
    assert 5 < sum(absent) < 35
    assert all(np.isnan(cut[k][1]).any() == missing for k, missing in enumerate(absent))

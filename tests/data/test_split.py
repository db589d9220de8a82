import pytest
from hypothesis import given
from hypothesis import strategies as st

from pssr.data.split import Piece, split
from pssr.errors import ConfigError

SHAPES = st.lists(
    st.tuples(st.integers(1, 60), st.integers(20, 300), st.integers(20, 300)), min_size=1, max_size=8
)


def used(pieces, frames, ends):
    """Every (movie, frame, row) that a bundle of these pieces can touch."""
    return {
        (p.movie, t, row)
        for p in pieces
        for bundle in p.bundles(frames, ends)
        for t in bundle
        for row in range(p.top, p.bottom, 4)
    }


@given(SHAPES, st.sampled_from([1, 3, 5]), st.sampled_from(["reflect", "repeat"]), st.floats(0, 0.5))
def test_nothing_that_is_trained_on_is_validated_on(shapes, frames, ends, share):
    train, held = split(shapes, frames=frames, ends=ends, share=share, least_rows=32)
    assert train
    assert not used(train, frames, ends) & used(held, frames, ends)


def test_a_movie_gives_its_last_frames_with_a_gap_of_a_bundle():
    train, held = split([(100, 64, 64)], frames=3, ends="reflect", share=0.1, least_rows=32)
    assert train == [Piece(0, 0, 88, 0, 64)]
    assert held == [Piece(0, 90, 100, 0, 64)]


def test_five_movies_are_split_by_file():
    train, held = split([(10, 64, 64)] * 5, frames=3, ends="reflect", share=0.1, least_rows=32)
    assert [p.movie for p in train] == [0, 1, 2, 3]
    assert held == [Piece(4, 0, 10, 0, 64)]


def test_a_single_image_gives_its_lowest_rows():
    train, held = split([(1, 400, 300)], frames=3, ends="reflect", share=0.1, least_rows=96)
    assert train == [Piece(0, 0, 1, 0, 304)]
    assert held == [Piece(0, 0, 1, 304, 400)]


def test_too_little_to_hold_anything_back_trains_on_all():
    train, held = split([(2, 100, 100)], frames=3, ends="reflect", share=0.1, least_rows=96)
    assert (train, held) == ([Piece(0, 0, 2, 0, 100)], [])


def test_movies_too_short_for_a_bundle_are_refused():
    with pytest.raises(ConfigError, match=r"no movie has a bundle of 5 .*lengths: 3"):
        split([(3, 64, 64)], frames=5, ends="drop", share=0.1, least_rows=32)


def test_planes_of_one_file_are_not_divided_by_file():
    """Six depths of one movie show one specimen: they are divided by time, all at the same time."""
    shapes = [(30, 64, 64)] * 6
    good, held = split(shapes, frames=3, ends="reflect", share=0.1, least_rows=32, files=["a"] * 6)
    assert {piece.movie for piece in good} == {piece.movie for piece in held} == set(range(6))
    assert max(piece.stop for piece in good) < min(piece.start for piece in held)


def test_whole_files_are_held_back_with_all_their_planes():
    files = [name for name in "abcdef" for _ in range(2)]
    good, held = split([(9, 64, 64)] * 12, frames=3, ends="reflect", share=0.1, least_rows=32, files=files)
    assert {files[piece.movie] for piece in held} == {"f"}
    assert {files[piece.movie] for piece in good} == set("abcde")


def test_regions_begin_on_the_grid_of_low_resolution_pixels():
    train, held = split([(1, 401, 300)], frames=1, ends="reflect", share=0.1, least_rows=96, grid=4)
    assert (train[0].bottom, held[0].top) == (304, 304)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pssr.data.bundles import windows
from pssr.errors import ConfigError

LENGTHS, FRAMES = st.integers(1, 30), st.sampled_from([1, 3, 5])


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ("repeat", [(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 3)]),
        ("reflect", [(1, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 2)]),
        ("drop", [(0, 1, 2), (1, 2, 3)]),
    ],
)
def test_the_ends_of_a_movie_follow_their_policy(ends, expected):
    assert windows(4, 3, ends) == expected


def test_five_frames_reach_two_to_each_side():
    assert windows(6, 5, "drop") == [(0, 1, 2, 3, 4), (1, 2, 3, 4, 5)]
    assert windows(6, 5, "reflect")[0] == (2, 1, 0, 1, 2)


@pytest.mark.parametrize("ends", ["reflect", "repeat"])
@pytest.mark.parametrize("frames", [1, 3, 5])
def test_movies_of_one_and_two_frames_have_bundles(ends, frames):
    assert windows(1, frames, ends) == [(0,) * frames]
    assert [w[frames // 2] for w in windows(2, frames, ends)] == [0, 1]


@given(LENGTHS, FRAMES, st.sampled_from(["reflect", "repeat", "drop"]))
def test_every_bundle_is_around_its_target_and_inside_the_movie(length, frames, ends):
    bundles = windows(length, frames, ends)
    reach = frames // 2
    assert [b[reach] for b in bundles] == list(
        range(length) if ends != "drop" else range(reach, length - reach)
    )
    assert all(0 <= t < length for b in bundles for t in b)


@given(LENGTHS, FRAMES)
def test_dropping_the_ends_leaves_that_many_fewer(length, frames):
    assert len(windows(length, frames, "drop")) == max(0, length - (frames - 1))


def test_an_even_number_of_frames_is_refused():
    with pytest.raises(ConfigError, match="frames: 4 has no middle frame; use an odd number such as 5"):
        windows(10, 4)

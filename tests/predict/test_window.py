import weakref

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pssr.config import preset
from pssr.data.bundles import windows
from pssr.data.intensity import Intensity
from pssr.errors import ConfigError, ReadError
from pssr.networks.edsr import edsr
from pssr.predict.arrays import bundles_of, restored_frames
from pssr.predict.engine import Engine
from pssr.predict.window import bundled, reading_order

ENDS = st.sampled_from(["reflect", "repeat", "drop"])
FRAMES = st.sampled_from([1, 3, 5])


class Plane:
    """A plane of which it can be told whether it is still held."""

    def __init__(self, t: int) -> None:
        self.t = t


WORDS = {
    "length": st.integers(1, 8),
    "frames": FRAMES,
    "ends": ENDS,
    "wanted": st.lists(st.booleans(), min_size=8, max_size=8),
}


def some(length: int, frames: int, ends: str, wanted: list[bool]) -> list[tuple[int, ...]]:
    """The bundles of some targets of a short movie."""
    return [window for window, want in zip(windows(length, frames, ends), wanted, strict=False) if want]


@given(st.integers(1, 8), FRAMES, ENDS)
def test_every_frame_that_a_bundle_needs_is_read_once(length, frames, ends):
    every = windows(length, frames, ends)
    assert sorted(reading_order(every)) == (list(range(length)) if every else [])


@given(st.fixed_dictionaries(WORDS))
def test_of_some_targets_only_what_they_need_is_read_and_once(words):
    chosen = some(**words)
    assert sorted(reading_order(chosen)) == sorted({t for window in chosen for t in window})


def test_frames_are_read_in_the_order_in_which_they_are_first_needed():
    assert list(reading_order([(1, 0, 1), (0, 1, 2), (1, 2, 3)])) == [1, 0, 2, 3]
    assert list(reading_order([(4, 5, 6), (6, 7, 8)])) == [4, 5, 6, 7, 8]


@given(st.fixed_dictionaries(WORDS))
def test_every_bundle_holds_its_own_planes(words):
    chosen = some(**words)
    found = list(bundled(chosen, reading_order(chosen)))
    assert [tuple(bundle) for _, bundle in found] == chosen
    assert [middle for middle, _ in found] == [window[len(window) // 2] for window in chosen]


@given(st.fixed_dictionaries(WORDS))
@example(
    {"length": 8, "frames": 5, "ends": "reflect", "wanted": [False, True, *[False] * 3, True, False, False]}
)
def test_no_more_planes_are_held_than_a_bundle_has(words):
    chosen, frames = some(**words), words["frames"]
    planes: weakref.WeakSet[Plane] = weakref.WeakSet()
    most = 0

    def read():
        nonlocal most
        for t in reading_order(chosen):
            plane = Plane(t)
            planes.add(plane)
            most = max(most, len(planes))
            yield plane
            del plane

    for _, bundle in bundled(chosen, read()):
        assert len({plane.t for plane in bundle}) <= len(planes) <= frames
        del bundle
    assert most <= frames


def test_planes_are_read_no_earlier_than_they_are_needed():
    asked: list[int] = []

    def read():
        for t in reading_order(windows(9, 3, "reflect")):
            asked.append(t)
            yield t

    bundles = bundled(windows(9, 3, "reflect"), read())
    assert next(bundles) == (0, [1, 0, 1])
    assert asked == [1, 0]
    assert next(bundles) == (1, [0, 1, 2])
    assert asked == [1, 0, 2]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(edsr(frames=3, scale=1, width=4, blocks=1).eval(), torch.device("cpu"))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_named_and_not_spread(engine, wrong):
    movie = np.zeros((4, 5, 5), np.float32)
    movie[2, 1, 1:3] = wrong
    with pytest.raises(ReadError, match="movie: frame 2 has 2 pixels that are not numbers"):
        list(restored_frames(engine, movie, Intensity(0, 1), movie.dtype, windows(4, 3)))


def test_a_movie_without_a_single_whole_bundle_is_refused():
    config = preset("movie").changed({"frames": 3, "ends": "drop"})
    assert bundles_of(3, config) == [(0, 1, 2)]
    with pytest.raises(ConfigError, match="leaves no frame of a movie of 2"):
        bundles_of(2, config)

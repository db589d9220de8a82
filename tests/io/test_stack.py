import itertools
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.stack import Movie, Stack, channel_names

SHAPE = (4, 2, 3, 8, 9)  # T C Z Y X


@pytest.fixture
def planes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65535, SHAPE, np.uint16)


@pytest.fixture
def stack(tmp_path: Path, planes: np.ndarray) -> Stack:
    metadata = {
        "axes": "TCZYX", "Channel": {"Name": ["Mito", "er"]}, "PhysicalSizeX": 0.05, "PhysicalSizeY": 0.06,
        "PhysicalSizeZ": 200, "PhysicalSizeZUnit": "nm", "TimeIncrement": 500, "TimeIncrementUnit": "ms",
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, metadata=metadata, photometric="minisblack")
    return open_stack(tmp_path / "a.ome.tif")


def test_a_stack_says_what_it_is(stack):
    assert dict(stack.sizes) == dict(zip("TCZYX", SHAPE, strict=True))
    assert list(stack.sizes) == ["T", "C", "Z", "Y", "X"]
    assert stack.channels == ("Mito", "er")
    assert stack.pixel_size_um == 0.05
    assert stack.spacing_um == pytest.approx({"X": 0.05, "Y": 0.06, "Z": 0.2})
    assert stack.interval_s == 0.5
    assert stack.dtype == np.uint16


def test_every_plane_is_found_by_the_names_of_its_axes(stack, planes):
    for t, c, z in itertools.product(*map(range, SHAPE[:3])):
        np.testing.assert_array_equal(stack.plane(T=t, C=c, Z=z), planes[t, c, z])


@pytest.mark.parametrize("place", [{"T": 4}, {"C": 2}, {"Z": 3}, {"T": -1}])
def test_a_plane_that_is_not_there_is_an_index_error(stack, place):
    with pytest.raises(IndexError, match="counted from 0"):
        stack.plane(**place)


@pytest.mark.parametrize("number", [np.int64, np.uint8, np.intp])
def test_numbers_of_numpy_are_numbers_of_planes(stack, planes, number):
    place = number(3), number(1), number(2)
    np.testing.assert_array_equal(stack.plane(T=place[0], C=place[1], Z=place[2]), planes[3, 1, 2])
    (found,) = stack.planes([place])
    np.testing.assert_array_equal(found, planes[3, 1, 2])


def test_a_broken_number_is_no_number_of_a_plane(stack):
    with pytest.raises(TypeError, match="float64"):
        list(stack.planes([(np.float64(1.5), 0, 0)]))


@pytest.mark.parametrize("channel", ["mito", "MITO", 0, "0"])
def test_channels_are_chosen_by_name_or_number(stack, channel):
    assert stack.channel_number(channel) == 0


@pytest.mark.parametrize("channel", [None, "golgi", 2, -1])
def test_no_channel_is_guessed(stack, channel):
    with pytest.raises(ChoiceNeeded, match="Mito, er"):
        stack.channel_number(channel)


def test_a_movie_over_time(stack, planes):
    movie = stack.movie("er", z=1)
    assert isinstance(movie, Movie)
    assert (movie.shape, movie.dtype, movie.channel) == ((4, 8, 9), np.uint16, "er")
    assert movie.name == "a.ome.tif [er, z 1]"
    np.testing.assert_array_equal(np.stack(list(movie)), planes[:, 1, 1])
    np.testing.assert_array_equal(movie[-1], planes[3, 1, 1])


def test_a_movie_over_depth(stack, planes):
    np.testing.assert_array_equal(np.stack(list(stack.movie(0, axis="Z", t=2))), planes[2, 0])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, "choose z"),
        ({"z": 3}, "has no z 3"),
        ({"axis": "Z"}, "choose t"),
        ({"axis": "Z", "t": 9}, "has no t 9"),
    ],
)
def test_depths_and_times_are_not_guessed(stack, choice, message):
    with pytest.raises(ChoiceNeeded, match=message):
        stack.movie("er", **choice)


def test_a_movie_goes_along_time_or_depth_only(stack):
    with pytest.raises(ValueError, match="choose T or Z"):
        stack.movie("er", axis="C")


@pytest.mark.parametrize("t", [4, -5])
def test_a_frame_that_is_not_there_ends_a_loop(stack, t):
    with pytest.raises(IndexError, match="it has 4"):
        stack.movie("er", z=0)[t]


def frame(movie: Movie, t: int) -> bytes:
    return movie[t].tobytes()


@pytest.mark.parametrize("name", ["live_mito_airyscan/dev_20240927_cell12_T100.czi", None])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_the_right_planes(stack, data_folder, name, start):
    """A handle that crosses a fork shares its position in the file and gives other planes: there must be none."""
    movie = open_stack(data_folder / name).movie(0) if name else stack.movie("er", z=1)
    expected = [frame(movie, t) for t in range(len(movie))]
    order = (
        np.random.default_rng(1)
        .permutation(np.arange(len(movie)).repeat(3 if start == "fork" else 1))
        .tolist()
    )
    with ProcessPoolExecutor(4, mp_context=get_context(start)) as pool:
        found = list(pool.map(frame, [movie] * len(order), order))
    assert found == [expected[t] for t in order]


def test_threads_read_the_right_planes(data_folder):
    movie = open_stack(data_folder / "live_mito_airyscan/dev_20240927_cell12_T100.czi").movie(1)
    expected = [frame(movie, t) for t in range(len(movie))]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda t: frame(movie, t), range(len(movie)))) == expected


def test_no_file_stays_open(stack, data_folder):
    stacks = [stack, open_stack(data_folder / "czi_synthetic_fixtures/T5_C2_Z1_u16.czi")]
    before = set(Path("/proc/self/fd").iterdir())
    for one in stacks:
        one.plane(T=1, C=1)
        assert pickle.loads(pickle.dumps(one)) == one
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_file_that_changed_is_noticed(stack):
    tifffile.imwrite(stack.path, np.zeros((2, 5, 5), np.uint8), photometric="minisblack")
    with pytest.raises(ReadError):
        stack.plane(T=3, C=1, Z=2)


@given(st.lists(st.none() | st.text(max_size=5), max_size=6), st.integers(1, 6))
def test_every_channel_has_a_name(given_names, count):
    names = channel_names(given_names, count)
    assert len(names) == count
    assert all(names)


def test_names_are_kept_filled_in_and_told_apart():
    assert channel_names(["mito", None, " er "], 4) == ("mito", "channel 1", "er", "channel 3")
    assert channel_names(["Ch1", "ch1"], 2) == ("Ch1 (0)", "ch1 (1)")

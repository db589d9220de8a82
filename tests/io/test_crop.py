from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from pssr.errors import ChoiceNeeded
from pssr.io.crop import cropped
from pssr.io.open import open_stack
from pssr.io.stack import Stack

SHAPE = (5, 3, 4, 8, 9)


@pytest.fixture(scope="module")
def planes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65535, SHAPE, np.uint16)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, planes) -> Stack:
    path: Path = tmp_path_factory.mktemp("crop") / "a.ome.tif"
    metadata = {
        "axes": "TCZYX",
        "Channel": {"Name": ["a", "b", "c"]},
        "PhysicalSizeZ": 0.5,
        "TimeIncrement": 2.0,
    }
    tifffile.imwrite(path, planes, metadata=metadata, photometric="minisblack")
    return open_stack(path)


def whole(stack: Stack) -> np.ndarray:
    places = np.ndindex(*(stack.sizes[axis] for axis in "TCZ"))
    found = list(stack.planes(places))
    return np.reshape(found, tuple(stack.sizes.values()))


def parts(size: int) -> st.SearchStrategy:
    ends = st.none() | st.integers(-size - 1, size + 1)
    steps = st.none() | st.integers(-3, 3).filter(bool)
    return st.none() | st.integers(-size, size - 1) | st.builds(slice, ends, ends, steps)


@given(t=parts(5), z=parts(4), data=st.data())
def test_a_part_is_what_numpy_would_take(stack, planes, t, z, data):
    plain = st.builds(slice, st.integers(0, 7), st.none() | st.integers(-3, 9))
    y, x = data.draw(plain), data.draw(plain)
    index = [
        slice(part, part + 1 or None) if isinstance(part, int) else part or slice(None) for part in (t, z)
    ]
    expected = planes[index[0]][:, :, index[1]][..., y, x]
    if expected.size == 0:
        with pytest.raises(ChoiceNeeded, match="leaves nothing"):
            cropped(stack, t=t, z=z, y=y, x=x)
        return
    part = cropped(stack, t=t, z=z, y=y, x=x)
    assert tuple(part.sizes.values()) == expected.shape
    np.testing.assert_array_equal(whole(part), expected)


def test_channels_are_taken_by_name_in_the_order_asked_for(stack, planes):
    part = open_stack(stack.path, channel=["c", 0])
    assert part.channels == ("c", "a")
    np.testing.assert_array_equal(whole(part), planes[:, [2, 0]])
    assert open_stack(stack.path, channel="B").channels == ("b",)


def test_steps_in_time_and_depth_change_the_units(stack):
    part = open_stack(stack.path, t=slice(None, None, 2), z=slice(None, None, -3))
    assert (part.interval_s, part.spacing_um["Z"]) == (4.0, 1.5)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"y": slice(0, 8, 2)}, "y leaves pixels out"),
        ({"t": 5}, "t=5 leaves nothing of 0 to 4"),
        ({"x": slice(3, 3)}, "x=slice"),
        ({"channel": "d"}, "has no channel 'd'; choose one of a, b, c"),
        ({"channel": []}, "no channel is chosen"),
    ],
)
def test_what_is_not_there_is_refused(stack, part, message):
    with pytest.raises(ChoiceNeeded, match=message):
        open_stack(stack.path, **part)


def test_missing_planes_move_with_the_part(data_folder):
    path = data_folder / "czi_synthetic_fixtures/ragged_T4_C2_missing_T2C1.czi"
    part = open_stack(path, missing="zero", channel=1, t=slice(1, None))
    assert part.missing == ((1, 0, 0),)
    assert [plane.any() for plane in part.movie()] == [True, False, True]

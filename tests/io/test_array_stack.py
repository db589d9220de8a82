"""Arrays as stacks."""

import dask.array
import numpy as np
import pytest

from pssr.errors import ShapeError
from pssr.io.array_stack import stack_of


@pytest.mark.parametrize("lazy", [False, True])
def test_planes_are_those_of_the_array_by_named_axes(lazy):
    array = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
    given = dask.array.from_array(array) if lazy else array
    stack = stack_of(
        given, axes="ZCTYX", channels=("a", "b", "c"), spacing_um={"X": 0.1, "Y": 0.1}, interval_s=2.0
    )
    assert stack.sizes == {"T": 4, "C": 3, "Z": 2, "Y": 5, "X": 6}
    np.testing.assert_array_equal(stack.plane(T=3, C=1, Z=0), array[0, 1, 3])
    assert (stack.channels, stack.pixel_size_um, stack.interval_s) == (("a", "b", "c"), 0.1, 2.0)
    np.testing.assert_array_equal(np.stack(list(stack.movie("b", z=1))), array[1, 1])


def test_a_single_plane_of_other_byte_order_is_a_stack():
    stack = stack_of(np.ones((4, 5), ">u2"), axes="YX")
    assert stack.dtype == np.uint16
    assert stack.plane().dtype == np.uint16
    assert stack.channels == ("channel 0",)


@pytest.mark.parametrize(
    ("array", "axes", "said"),
    [
        (np.ones((3, 4, 5)), "YX", "axes YX name 2 axes, the array is"),
        (np.ones((3, 4, 5)), "YXT", "is not a choice of"),
        (np.ones((3, 4, 5)), "QYX", "is not a choice of"),
        (np.ones((4, 5), complex), "YX", "give an array of integers or floats"),
        (np.ones((0, 4, 5)), "TYX", "not empty"),
    ],
)
def test_what_is_no_stack_is_refused(array, axes, said):
    with pytest.raises(ShapeError, match=said):
        stack_of(array, axes=axes)

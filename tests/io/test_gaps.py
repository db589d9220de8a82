from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pssr.errors import ReadError
from pssr.io.gaps import settle
from pssr.io.stack import Stack


@dataclass(frozen=True)
class Counter:
    """A reader whose planes say where they are."""

    @contextmanager
    def opened(self, path: Path):
        yield lambda place: np.full((2, 3), 100 * place[0] + 10 * place[1] + place[2], np.uint16)


STACK = Stack(
    path=Path("a.czi"), format="CZI", sizes={"T": 5, "C": 2, "Z": 1, "Y": 2, "X": 3}, dtype=np.dtype("u2"),
    channels=("a", "b"), spacing_um={}, interval_s=None, reader=Counter(),
)  # fmt: skip


def values(stack: Stack, channel: int) -> list[float]:
    return [float(plane[0, 0]) for plane in stack.movie(channel)]


def test_nothing_missing_changes_nothing():
    assert settle(STACK, [], "zero", "copy it") is STACK


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ([2], [0, 100, 100, 300, 400]),
        ([0, 1], [200, 200, 200, 300, 400]),
        ([2, 3, 4], [0, 100, 100, 100, 100]),
    ],
)
def test_the_nearest_earlier_frame_is_repeated_else_the_nearest_later(missing, expected):
    stack = settle(STACK, [(t, 0, 0) for t in missing], "previous", "copy it")
    assert values(stack, 0) == expected
    assert values(stack, 1) == [10, 110, 210, 310, 410]


def test_a_channel_without_any_plane_has_nothing_to_repeat():
    with pytest.raises(ReadError, match="C 1 Z 0 has no plane at all"):
        settle(STACK, [(t, 1, 0) for t in range(5)], "previous", "copy it")


@pytest.mark.parametrize(
    ("dtype", "wider"), [("u1", "f4"), ("u2", "f4"), ("i4", "f8"), ("f4", "f4"), ("f8", "f8")]
)
def test_floats_that_hold_every_count_hold_the_gap(dtype, wider):
    stack = settle(replace(STACK, dtype=np.dtype(dtype)), [(1, 0, 0)], "nan", "copy it")
    assert stack.dtype == np.dtype(wider)
    assert np.isnan(stack.plane(T=1)).all()
    assert stack.plane(T=2).tolist() == [[200] * 3] * 2


def test_the_error_names_planes_and_ways_out():
    with pytest.raises(
        ReadError, match=r"a.czi: 4 of 10 planes are missing \(T 0 C 0 Z 0; T 1 C 0 Z 0; T 2 C 0 Z 0; ...\)"
    ):
        settle(STACK, [(t, 0, 0) for t in range(4)], "error", "copy it")

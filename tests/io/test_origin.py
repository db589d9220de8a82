"""Where the pixels of a file lie: what is made of a part of a stack, on finer pixels, lies over that part."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pssr.errors import ConfigError
from pssr.io.array_stack import stack_of
from pssr.io.content import NAMESPACE
from pssr.io.crop import cropped
from pssr.io.open import open_stack
from pssr.io.stack import Stack
from pssr.io.write import StackWriter

SIZES = {"T": 1, "C": 1, "Z": 2, "Y": 4, "X": 5}


def stack(**words) -> Stack:
    return stack_of(np.zeros((2, 12, 9), np.uint16), axes="ZYX", **words)


def first_edge(one: Stack, axis: str) -> float:
    return one.origin_um.get(axis, 0.0) - one.spacing_um[axis] / 2


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
@settings(max_examples=15, deadline=None)
@given(
    first=st.tuples(st.integers(0, 8), st.integers(0, 5)), scale=st.integers(1, 8),
    origin=st.floats(-1e3, 1e3), um=st.floats(0.01, 2),
)  # fmt: skip
def test_finer_pixels_begin_where_the_coarse_ones_do(tmp_path_factory, name, first, scale, origin, um):
    whole = stack(spacing_um={"Y": um, "X": 2 * um, "Z": 0.3}, origin_um={"X": origin})
    part = cropped(whole, y=slice(first[0], None), x=slice(first[1], None), z=slice(1, 2))
    assert part.origin_um.get("Y", 0.0) == pytest.approx(first[0] * um)
    assert part.origin_um["X"] == pytest.approx(origin + first[1] * 2 * um)
    path = tmp_path_factory.mktemp("origin") / name
    with StackWriter(path, like=part, scale=scale) as writer:
        writer.write(np.zeros([scale * part.sizes[axis] for axis in "YX"], np.uint16))
    found = open_stack(path)
    for axis in "YX":
        assert first_edge(found, axis) == pytest.approx(first_edge(part, axis), abs=1e-9)
    assert found.origin_um["Z"] == pytest.approx(0.3)


def test_a_store_says_so_in_its_translation_and_others_are_understood(tmp_path: Path):
    path = tmp_path / "a.ome.zarr"
    words = {"sizes": SIZES, "dtype": np.uint8, "channels": ["a"], "spacing_um": {"Y": 0.2, "X": 0.2}}
    with StackWriter(path, **words, origin_um={"X": 1.5}) as writer:
        for z in range(2):
            writer.write(np.zeros((4, 5), np.uint8), Z=z)
    group = zarr.open_group(path, mode="r+")
    about = dict(group.attrs["ome"])
    level = about["multiscales"][0]["datasets"][0]
    assert level["coordinateTransformations"][1] == {"type": "translation", "translation": [0, 0, 0, 0, 1.5]}
    # Another unit, and a step for all levels that comes after those of each.
    about["multiscales"][0]["axes"][4]["unit"] = "nanometer"
    about["multiscales"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [1, 1, 1, 1, 1000]},
        {"type": "translation", "translation": [0, 0, 0, 0, 500]},
    ]
    group.attrs["ome"] = about
    found = open_stack(path)
    assert found.spacing_um["X"] == pytest.approx(0.2)
    assert found.origin_um == pytest.approx({"X": 2.0})
    # Elsewhere, or nonsense: the pixels are right all the same.
    for strange in (
        {"path": "there"},
        {"translation": "far"},
        {"translation": [1]},
        {"translation": [0, 0, 0, 0, "x"]},
    ):
        about["multiscales"][0]["coordinateTransformations"] = [{"type": "translation", **strange}]
        group.attrs["ome"] = about
        assert open_stack(path).origin_um == pytest.approx({"X": 0.0015})


def test_positions_of_a_stage_and_damaged_words_are_left_alone(tmp_path: Path):
    planes = np.zeros((2, 4, 5), np.uint8)
    metadata = {"axes": "TYX", "PhysicalSizeX": 0.1, "Plane": {"PositionX": [7.0, 7.0]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, metadata=metadata)
    assert open_stack(tmp_path / "a.ome.tif").origin_um == {}
    for said in ("{", "[" * 100_000, "[1, 2]", json.dumps({"X": "far", "Y": 1e999}), "3"):
        metadata = {"axes": "TYX", "MapAnnotation": {"Namespace": NAMESPACE, "origin_um": said}}
        tifffile.imwrite(tmp_path / "b.ome.tif", planes, metadata=metadata)
        assert open_stack(tmp_path / "b.ome.tif").origin_um == {}


def test_an_origin_that_is_no_number_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="origin_um X is nan; give a number"):
        StackWriter(
            tmp_path / "a.ome.tif",
            sizes=SIZES,
            dtype=np.uint8,
            channels=["a"],
            origin_um={"X": float("nan")},
        )


def test_coordinates_begin_at_the_origin():
    found = stack(spacing_um={"X": 0.5, "Y": 0.5}, origin_um={"X": 10.0}).xarray()
    assert found.coords["X"].values[:2].tolist() == [10.0, 10.5]
    assert found.coords["Y"].values[:2].tolist() == [0.0, 0.5]

import itertools
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.stack import Stack

RNG = np.random.default_rng(0)
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "nanometer"}


def described(axes: str, version: str, scale: list[float], name: str = "cell") -> dict:
    listed = [{"name": a, "type": {"t": "time", "c": "channel"}.get(a, "space")} for a in axes]
    listed = [axis | ({"unit": UNITS[axis["name"]]} if axis["name"] in UNITS else {}) for axis in listed]
    steps = [{"type": "scale", "scale": scale}]
    multiscale = {
        "name": name,
        "axes": listed,
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    omero = {"channels": [{"label": "mito", "color": "00FF00"}, {"label": "er", "color": "FF0000"}]}
    if version == "0.4":
        return {"multiscales": [{"version": "0.4", **multiscale}], "omero": omero}
    return {"ome": {"version": "0.5", "multiscales": [multiscale], "omero": omero}}


def made(path: Path, planes: np.ndarray, axes: str, version: str = "0.5", **how) -> Path:
    group = zarr.create_group(store=path, zarr_format=2 if version == "0.4" else 3)
    chunks = tuple(min(n, 16) if axis in "yx" else 1 for axis, n in zip(axes, planes.shape, strict=True))
    array = group.create_array("0", shape=planes.shape, dtype=planes.dtype, **{"chunks": chunks} | how)
    array[:] = planes
    group.create_array("1", shape=(1,) * planes.ndim, dtype=planes.dtype)
    group.attrs.update(described(axes, version, [0.5] * len(axes)))
    return path


def whole(stack: Stack) -> np.ndarray:
    planes = stack.planes(itertools.product(*(range(stack.sizes[axis]) for axis in "TCZ")))
    return np.reshape(list(planes), tuple(stack.sizes.values()))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["tczyx", "tcyx", "czyx", "zyx", "tyx", "yx", "cxy"])
def test_axes_by_name_and_units(tmp_path: Path, axes, version):
    full = dict(zip("tczyx", (3, 2, 4, 20, 33), strict=True))
    planes = RNG.integers(0, 65535, tuple(full[a] for a in axes), np.uint16)
    stack = open_stack(made(tmp_path / "a.zarr", planes, axes, version))
    assert dict(stack.sizes) == {a.upper(): full[a] if a in axes else 1 for a in "tczyx"}
    assert stack.format == "OME-Zarr"
    ordered = np.moveaxis(planes, axes.index("y"), -2) if axes == "cxy" else planes
    np.testing.assert_array_equal(whole(stack).reshape(ordered.shape), ordered)
    assert stack.spacing_um == pytest.approx({"Y": 0.5, "X": 0.0005} | ({"Z": 0.5} if "z" in axes else {}))
    assert stack.interval_s == (0.5 if "t" in axes else None)
    if "c" in axes:
        assert (stack.channels, stack.colours) == (("mito", "er"), ("#00FF00", "#FF0000"))


@pytest.mark.parametrize("dtype", ["u1", ">u2", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_types_come_in_native_order(tmp_path: Path, dtype, version):
    planes = RNG.integers(0, 100, (2, 9, 8)).astype(dtype)
    stack = open_stack(made(tmp_path / "a.zarr", planes, "tyx", version))
    assert stack.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(whole(stack)[:, 0, 0], planes)


@pytest.mark.parametrize("top", ["", "cell.zarr/"])
def test_a_zip_file_is_a_store(tmp_path: Path, top):
    planes = RNG.integers(0, 65535, (2, 20, 33), np.uint16)
    folder = made(tmp_path / "a.zarr", planes, "tyx")
    with zipfile.ZipFile(tmp_path / "a.ozx", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{top}{file.relative_to(folder)}")
    np.testing.assert_array_equal(whole(open_stack(tmp_path / "a.ozx"))[:, 0, 0], planes)


def test_shards_hold_many_chunks(tmp_path: Path):
    planes = RNG.integers(0, 65535, (2, 32, 32), np.uint16)
    stack = open_stack(made(tmp_path / "a.zarr", planes, "tyx", chunks=(1, 8, 8), shards=(1, 32, 32)))
    np.testing.assert_array_equal(whole(stack)[:, 0, 0], planes)
    assert stack.notes == ()


def test_a_collection_of_images_is_a_choice_of_scenes(tmp_path: Path):
    zarr.create_group(store=tmp_path / "a.zarr", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    each = [RNG.integers(0, 65535, (2, 9, 8), np.uint16) for _ in range(2)]
    for k, planes in enumerate(each):
        made(tmp_path / "a.zarr" / str(k), planes, "tyx", "0.4")
    with pytest.raises(ChoiceNeeded, match=r"choose a scene \(0, 1\)") as error:
        open_stack(tmp_path / "a.zarr")
    assert error.value.choices == ("0", "1")
    np.testing.assert_array_equal(whole(open_stack(tmp_path / "a.zarr", scene=1))[:, 0, 0], each[1])


def test_fields_of_a_plate_are_scenes(tmp_path: Path):
    plate = {"plate": {"wells": [{"path": "A/1"}]}}
    zarr.create_group(store=tmp_path / "a.zarr", zarr_format=2).attrs.update(plate)
    zarr.create_group(store=tmp_path / "a.zarr/A/1", zarr_format=2).attrs.update(
        {"well": {"images": [{"path": "0"}]}}
    )
    planes = RNG.integers(0, 65535, (2, 9, 8), np.uint16)
    made(tmp_path / "a.zarr/A/1/0", planes, "tyx", "0.4")
    np.testing.assert_array_equal(whole(open_stack(tmp_path / "a.zarr"))[:, 0, 0], planes)


def test_absent_chunks_are_told(tmp_path: Path):
    planes = RNG.integers(1, 65535, (3, 32, 16), np.uint16)
    folder = made(tmp_path / "a.zarr", planes, "tyx")
    shutil.rmtree(folder / "0/c/1")
    stack = open_stack(folder)
    assert stack.notes == ("2 of 6 chunks are absent and read as its fill value",)
    assert not stack.plane(T=1).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda about: about["ome"]["multiscales"][0]["axes"].append({"name": "q"}),
            "OME metadata are damaged",
        ),
        (lambda about: about["ome"]["multiscales"][0]["axes"][0].update(name="q"), "has the axes Q, Y, X"),
        (lambda about: about["ome"]["multiscales"][0].update(datasets=[]), "OME metadata are damaged"),
        (lambda about: about["ome"].update(multiscales=7), "without OME images"),
        (lambda about: about.clear(), "without OME images"),
    ],
)
def test_metadata_that_do_not_fit_are_an_error(tmp_path: Path, change, message):
    folder = made(tmp_path / "a.zarr", RNG.integers(0, 9, (3, 8, 8), np.uint16), "tyx")
    file = folder / "zarr.json"
    said = json.loads(file.read_text())
    change(said["attributes"])
    file.write_text(json.dumps(said))
    with pytest.raises(ReadError, match=f"a.zarr: .*{message}"):
        open_stack(folder)

"""What is written in any format is read back: pixels, axes, units, names; and others read it alike."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ome_zarr_models.v05 import Image

from pssr.errors import WriteError
from pssr.io.open import open_stack
from pssr.io.sinks import FORMATS
from pssr.io.stack import Stack
from pssr.io.write import StackWriter

NAMES = {"ome-tiff": "a.ome.tif", "imagej": "a.tif", "ome-zarr": "a.ome.zarr", "png": "frames"}
LARGE = [(name, how) for name in ("ome-tiff", "ome-zarr") for how in ("none", "deflate", "zstd")]
WAYS = [*LARGE, ("imagej", "none"), ("png", "none")]


@st.composite
def stacks(draw: st.DrawFn) -> dict:
    """A way to write, and something that it can hold."""
    name, how = draw(st.sampled_from(WAYS))
    sizes = {axis: draw(st.integers(1, 3)) for axis in "TCZ"}
    sizes |= {axis: draw(st.integers(1, 40)) for axis in "YX"}
    if name == "imagej":
        sizes["X"] += 1
    length = st.floats(1e-4, 1e3)
    spacing = draw(st.sets(st.sampled_from("XYZ")))
    kinds = st.characters(codec="utf-8", categories=["L", "N", "P", "S"])
    words = st.builds(
        "{} {}".format, st.text(kinds, min_size=1, max_size=8), st.text(kinds, min_size=1, max_size=3)
    )
    colours = st.none() | st.sampled_from(["#FF0000", "#00FF00", "#12AB9F", "#FFFFFF"])
    return {
        "format": name, "compression": how, "sizes": sizes,
        "dtype": draw(st.sampled_from(FORMATS[name].dtypes)),
        "channels": draw(st.lists(words, min_size=sizes["C"], max_size=sizes["C"], unique_by=str.casefold)),
        "colours": draw(st.lists(colours, min_size=sizes["C"], max_size=sizes["C"])),
        "spacing_um": {axis: draw(length) for axis in spacing},
        "interval_s": draw(st.none() | length),
        "seed": draw(st.integers(0, 99)),
    }  # fmt: skip


def pixels(sizes: dict[str, int], dtype: str, seed: int) -> np.ndarray:
    """Anything that the dtype can hold, its ends included."""
    rng, kind, shape = np.random.default_rng(seed), np.dtype(dtype), tuple(sizes.values())
    if kind.kind == "f":
        return (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4)).astype(kind)
    return rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, kind, endpoint=True)


def write(path: Path, planes: np.ndarray, seed: int, **words) -> Path:
    places = list(itertools.product(*map(range, planes.shape[:3])))
    with StackWriter(path, dtype=planes.dtype, provenance={"model": "mito"}, **words) as writer:
        for k in np.random.default_rng(seed).permutation(len(places)):
            t, c, z = places[k]
            writer.write(planes[t, c, z], T=t, C=c, Z=z)
    return path


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stacks())
def test_everything_survives(tmp_path_factory, made):
    made = dict(made)
    seed, dtype, name = made.pop("seed"), made.pop("dtype"), made["format"]
    planes = pixels(made["sizes"], dtype, seed)
    path = write(tmp_path_factory.mktemp("round") / NAMES[name], planes, seed, **made)
    assert [inside.name for inside in path.parent.iterdir()] == [path.name]
    stack = open_stack(path, series="T" if name == "png" else None)
    assert (dict(stack.sizes), stack.dtype) == (made["sizes"], np.dtype(dtype))
    for place in itertools.product(*map(range, planes.shape[:3])):
        np.testing.assert_array_equal(stack.plane(**dict(zip("TCZ", place, strict=True))), planes[place])
    assert stack.channels == tuple(made["channels"])
    # Files of single planes say nothing of a time between them, nor of a distance.
    alone = {axis for axis in "TZ" if name in ("png", "imagej") and made["sizes"][axis] == 1}
    if name != "png" or "T" not in alone:
        assert stack.interval_s == made["interval_s"]
    known = {axis: um for axis, um in made["spacing_um"].items() if axis not in alone}
    if name == "imagej" and not {"X", "Y"} <= known.keys():
        known = {}
    # ImageJ keeps pixels per unit as a fraction of two 32-bit numbers.
    near = {"rel": 1e-4} if name == "imagej" else {"rel": 1e-12}
    assert stack.spacing_um == pytest.approx(known, **near)
    if any(made["colours"]) and name != "png":
        assert stack.colours == tuple(colour or "#FFFFFF" for colour in made["colours"])
    if name == "ome-tiff":
        xml = tifffile.tiffcomment(path)
        ome_types.validate_xml(xml)
        # tifffile draws one directory for each plane: what it makes of them must be the whole.
        np.testing.assert_array_equal(tifffile.imread(path).reshape(planes.shape), planes)


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    """Three grey frames: the stack that others have written as one colour page."""
    return pixels({"T": 3, "C": 1, "Z": 1, "Y": 31, "X": 33}, "uint16", 5)


KNOWN = {
    "channels": ["mito"], "colours": ["#00FF00"], "spacing_um": {"X": 0.011, "Y": 0.012, "Z": 0.3}, "interval_s": 0.5,
    "sizes": {"T": 3, "C": 1, "Z": 1, "Y": 31, "X": 33},
}  # fmt: skip


@pytest.mark.parametrize(("format", "compression"), WAYS[:1] + WAYS[2:3] + [("imagej", "none")])
def test_three_grey_frames_are_three_pages_for_tifffile(tmp_path: Path, grey, format, compression):
    path = write(tmp_path / NAMES[format], grey, 0, format=format, compression=compression, **KNOWN)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 3
        assert {page.photometric.name for page in tif.pages} == {"MINISBLACK"}
        assert tif.series[0].axes.replace("Z", "").replace("C", "") == "TYX"
        np.testing.assert_array_equal(tif.series[0].asarray().squeeze(), grey[:, 0, 0])
        assert tif.is_imagej == (format == "imagej")


@pytest.mark.parametrize(("format", "compression"), LARGE)
def test_bioio_reads_the_same(tmp_path: Path, grey, format, compression):
    path = write(tmp_path / NAMES[format], grey, 0, format=format, compression=compression, **KNOWN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bioio import BioImage

        image = BioImage(path)
        assert image.dims.order == "TCZYX"
        np.testing.assert_array_equal(image.data, grey)
        assert float(image.physical_pixel_sizes.X) == pytest.approx(0.011)
        assert image.channel_names == ["mito"]


def test_napari_reads_the_same(tmp_path: Path, grey):
    path = write(tmp_path / "a.ome.tif", grey, 0, **KNOWN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from napari.components import ViewerModel
        from napari.plugins import _initialize_plugins

        _initialize_plugins()
        (layer,) = ViewerModel().open(path, plugin="napari")
    np.testing.assert_array_equal(np.asarray(layer.data).reshape(grey.shape), grey)


@pytest.mark.parametrize("compression", ["none", "zstd", "deflate"])
def test_ome_zarr_follows_the_format(tmp_path: Path, compression):
    planes = pixels({"T": 2, "C": 1, "Z": 1, "Y": 601, "X": 301}, "uint16", 1)
    words = KNOWN | {"sizes": {"T": 2, "C": 1, "Z": 1, "Y": 601, "X": 301}}
    path = write(tmp_path / "a.ome.zarr", planes, 0, compression=compression, **words)
    image = Image.from_zarr(zarr.open_group(path, mode="r"))
    assert [level.path for level in image.ome_attributes.multiscales[0].datasets] == ["0", "1", "2"]
    group = zarr.open_group(path, mode="r")
    assert group["0"].chunks == (1, 1, 1, 601, 301)
    coarse = planes[..., :600, :300].reshape(2, 1, 1, 300, 2, 150, 2).mean((-3, -1))
    np.testing.assert_array_equal(group["1"][:], np.rint(coarse))
    assert '"model": "mito"' in group.attrs["pssr"]


def test_a_movie_to_look_at(tmp_path: Path):
    """Smooth frames survive H.264 nearly unchanged, on one scale for all."""
    x = np.mgrid[:64, :96][1]
    frames = np.stack([500 * (t + 1) + 10 * x for t in range(70)])[:, None, None].astype(np.uint16)
    words = {"channels": ["mito"], "sizes": dict(zip("TCZYX", frames.shape, strict=True))}
    stack: Stack = open_stack(write(tmp_path / "a.mp4", frames, 3, **words))
    assert (dict(stack.sizes), stack.dtype) == (words["sizes"], np.uint8)
    low, high = np.percentile(frames, [0.1, 99.9])
    shown = np.clip((frames - low) / (high - low) * 255, 0, 255)
    for t in (0, 31, 63, 64, 69):
        assert np.abs(stack.plane(T=t) - shown[t, 0, 0]).max() < 6
    assert [frame.mean() for frame in stack.movie()] == sorted(frame.mean() for frame in stack.movie())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"format": "imagej", "dtype": "int32"}, "ImageJ TIFF has no int32; choose another format"),
        ({"format": "png", "dtype": "float32"}, "PNG has no float32"),
        (
            {"format": "mp4", "sizes": {"T": 2, "C": 2, "Z": 1, "Y": 4, "X": 4}, "channels": "ab"},
            "one channel",
        ),
        ({"format": "mp4", "sizes": {"T": 2, "C": 1, "Z": 1, "Y": 1, "X": 4}}, "at least 2 x 2 px"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_first(tmp_path: Path, words, message):
    usual = {"sizes": {"T": 2, "C": 1, "Z": 1, "Y": 4, "X": 4}, "dtype": "uint16", "channels": ["a"]}
    with pytest.raises(WriteError, match=message):
        StackWriter(tmp_path / "a", **usual | words)
    assert list(tmp_path.iterdir()) == []

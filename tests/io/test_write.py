import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pssr.errors import ConfigError, ShapeError, WriteError
from pssr.io.content import NAMESPACE
from pssr.io.open import open_stack
from pssr.io.write import StackWriter

SIZES = {"T": 3, "C": 2, "Z": 1, "Y": 6, "X": 8}


def writer(path: Path, **changed) -> StackWriter:
    return StackWriter(path, **{"sizes": SIZES, "dtype": np.uint16, "channels": ["mito", "er"]} | changed)


def plane(t: int = 0, c: int = 0) -> np.ndarray:
    return np.full((6, 8), 10 * t + c, np.uint16)


def fill(open_writer: StackWriter) -> None:
    for t in range(3):
        for c in range(2):
            open_writer.write(plane(t, c), T=t, C=c)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.fixed_dictionaries(
        {"T": st.integers(1, 4), "C": st.integers(1, 3), "Z": st.integers(1, 3), "Y": st.integers(1, 20),
         "X": st.integers(1, 20)}
    ),
    dtype=st.sampled_from(["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", ">u2"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_what_is_written_in_any_order_is_read_back(tmp_path_factory, sizes, dtype, seed):
    path = tmp_path_factory.mktemp("w") / "a.ome.tif"
    sizes = {axis: sizes[axis] for axis in "TCZYX"}
    rng = np.random.default_rng(seed)
    planes = (200 * rng.random(tuple(sizes.values())) - (100 if dtype[0] in "if" else 0)).astype(dtype)
    places = [(t, c, z) for t in range(sizes["T"]) for c in range(sizes["C"]) for z in range(sizes["Z"])]
    names = [f"c{k}" for k in range(sizes["C"])]
    with StackWriter(path, sizes=sizes, dtype=dtype, channels=names) as out:
        for k in rng.permutation(len(places)):
            t, c, z = places[k]
            out.write(planes[t, c, z], T=t, C=c, Z=z)
    stack = open_stack(path)
    assert dict(stack.sizes) == sizes
    assert stack.channels == tuple(names)
    for t, c, z in places:
        np.testing.assert_array_equal(stack.plane(T=t, C=c, Z=z), planes[t, c, z])
    np.testing.assert_array_equal(tifffile.imread(path).reshape(planes.shape), planes)


def test_metadata_survive(tmp_path: Path):
    known = {"spacing_um": {"X": 0.0109, "Y": 0.0109, "Z": 0.2}, "interval_s": 0.523}
    with writer(tmp_path / "a.ome.tif", **known) as out:
        fill(out)
    stack = open_stack(tmp_path / "a.ome.tif")
    assert stack.spacing_um == pytest.approx(known["spacing_um"])
    assert stack.interval_s == 0.523
    assert stack.channels == ("mito", "er")


def test_the_file_says_what_made_it(tmp_path: Path):
    with writer(tmp_path / "a.ome.tif", provenance={"model": "mito <1>", "scale": 4}) as out:
        fill(out)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        xml, software = tif.ome_metadata, tif.pages[0].software
    assert NAMESPACE in xml
    assert '<M K="model">mito &lt;1&gt;</M>' in xml
    assert '<M K="scale">4</M>' in xml
    assert software.startswith("pssr-toolkit ")


def test_a_writer_like_a_stack_divides_the_pixel_size(tmp_path: Path):
    known = {"spacing_um": {"X": 0.08, "Y": 0.04, "Z": 0.3}, "interval_s": 2.0}
    with writer(tmp_path / "a.ome.tif", **known) as out:
        fill(out)
    source = open_stack(tmp_path / "a.ome.tif")
    with StackWriter(tmp_path / "b.ome.tif", like=source, scale=4, sizes={"C": 1}, channels=["er"]) as out:
        for t in range(3):
            out.write(np.zeros((24, 32), np.uint16), T=t)
    found = open_stack(tmp_path / "b.ome.tif")
    assert dict(found.sizes) == {"T": 3, "C": 1, "Z": 1, "Y": 24, "X": 32}
    assert found.spacing_um == pytest.approx({"X": 0.02, "Y": 0.01, "Z": 0.3})
    assert (found.interval_s, found.channels, found.dtype) == (2.0, ("er",), np.uint16)


def test_nothing_appears_before_it_is_complete(tmp_path: Path):
    with writer(tmp_path / "a.ome.tif") as out:
        fill(out)
        assert {p.name for p in tmp_path.iterdir()} == {"a.ome.tif.part", "a.ome.tif.part.log"}
        assert out.done == {(t, c, 0) for t in range(3) for c in range(2)}
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.tif"]


@pytest.mark.parametrize("there", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path: Path, there):
    if there:
        (tmp_path / "a.ome.tif").write_text("old")
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "a.ome.tif", overwrite=True) as out:
        out.write(plane())
        raise KeyboardInterrupt
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == ([("a.ome.tif", "old")] if there else [])


def test_a_missing_plane_is_an_error(tmp_path: Path):
    with (
        pytest.raises(WriteError, match="5 of 6 planes were not written"),
        writer(tmp_path / "a.ome.tif") as out,
    ):
        out.write(plane())
    assert list(tmp_path.iterdir()) == []


def test_planes_that_do_not_fit_are_refused(tmp_path: Path):
    with writer(tmp_path / "a.ome.tif") as out:
        fill(out)
        for wrong in (plane()[:5], plane().astype(np.int32), plane().astype(np.float32)):
            with pytest.raises(ShapeError, match=r"give \(6, 8\) uint16"):
                out.write(wrong)
        for place in ({"T": 3}, {"C": -1}, {"Z": 1}):
            with pytest.raises(ShapeError, match="has no place"):
                out.write(plane(), **place)


def test_planes_are_written_inside_the_block_only(tmp_path: Path):
    with pytest.raises(WriteError, match="inside `with"):
        writer(tmp_path / "a.ome.tif").write(plane())


def test_everything_that_would_fail_late_fails_early(tmp_path: Path, monkeypatch):
    (tmp_path / "there.tif").touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "link.tif").symlink_to(tmp_path / "there.tif")
    for name, message in {
        "there.tif": "exists already", "folder.tif": "is a link or not a file", "link.tif": "is a link",
        "absent/a.tif": "its folder does not exist",
    }.items():  # fmt: skip
        with pytest.raises(WriteError, match=message):
            writer(tmp_path / name)
    with pytest.raises(WriteError, match="OME-TIFF has no int64"):
        writer(tmp_path / "a.tif", dtype=np.int64)
    with pytest.raises(ShapeError, match="do not name the channels"):
        writer(tmp_path / "a.tif", channels=["one"])
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(WriteError, match="needs 576 bytes and the disk has 100 bytes left"):
        writer(tmp_path / "a.tif")


def test_the_source_is_never_overwritten(tmp_path: Path):
    with writer(tmp_path / "a.ome.tif") as out:
        fill(out)
    source = open_stack(tmp_path / "a.ome.tif")
    os.link(tmp_path / "a.ome.tif", tmp_path / "hard.ome.tif")
    for name in ("a.ome.tif", "../" + tmp_path.name + "/a.ome.tif", "hard.ome.tif"):
        with pytest.raises(WriteError, match="is the file to read from"):
            StackWriter(tmp_path / name, like=source, overwrite=True)


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path):
    """A limit on the size of files stands for a disk that fills up while the planes are written."""
    program = """
        import resource, signal, sys
        import numpy as np
        from pssr.errors import WriteError
        from pssr.io.write import StackWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        sizes = {"T": 9, "C": 1, "Z": 1, "Y": 64, "X": 64}
        try:
            with StackWriter(sys.argv[1], sizes=sizes, dtype=np.uint16, channels=["mito"]) as out:
                for t in range(9):
                    out.write(np.zeros((64, 64), np.uint16), T=t)
        except WriteError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a.ome.tif")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "a.ome.tif: cannot be written (File too large)" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_cannot_be_forced_to_disk_or_renamed_is_an_error(tmp_path: Path, monkeypatch, call):
    def fail(*_args, **_how):
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "a.ome.tif"
    said = r"a\.ome\.tif: cannot be written \(Input/output error\)"
    with pytest.raises(WriteError, match=said), writer(path) as open_writer:
        fill(open_writer)
        monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_movie(tmp_path: Path):
    """A sparse file: 8 GB announced, a few planes written."""
    sizes = {"T": 2000, "C": 1, "Z": 1, "Y": 1024, "X": 2048}
    with (
        pytest.raises(WriteError, match="1999 of 2000"),
        writer(tmp_path / "a.ome.tif", sizes=sizes, channels=["mito"]) as out,
    ):
        assert (tmp_path / "a.ome.tif.part").stat().st_size > 8_000_000_000
        assert (tmp_path / "a.ome.tif.part").stat().st_blocks * 512 < 20_000_000
        out.write(np.ones((1024, 2048), np.uint16), T=1999)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spacing_um": {"X": float("nan")}}, r"spacing_um X is nan; give a number above 0"),
        ({"spacing_um": {"Y": 0.0}}, r"spacing_um Y is 0.0"),
        ({"interval_s": -1.0}, r"interval_s is -1.0"),
        ({"colours": ["red", None]}, r"'red' is no colour; write it such as '#00FF00'"),
        ({"colours": ["#FFF", None]}, r"'#FFF' is no colour"),
    ],
)
@pytest.mark.parametrize("format", ["ome-tiff", "imagej", "ome-zarr", "png"])
def test_units_and_colours_that_are_none_are_refused_first(tmp_path: Path, changed, message, format):
    with pytest.raises(ConfigError, match=message):
        writer(tmp_path / "a", format=format, **changed)


@pytest.mark.parametrize("name", ["GFP\0", "a\x1bb", "lone \ud800", "tab\tand line\n"])
def test_names_that_xml_cannot_hold_are_written_without_what_it_cannot(tmp_path: Path, name):
    with writer(tmp_path / "a.ome.tif", channels=[name, "er"], provenance={"model": name}) as out:
        fill(out)
    stack = open_stack(tmp_path / "a.ome.tif")
    assert stack.channels[0][0] == name[0]
    assert stack.channels[1] == "er"


@pytest.mark.parametrize("known", [{"X": 0.05}, {"Z": 0.3}, {"X": 0.05, "Z": 0.3}])
def test_imagej_gets_no_pixel_size_where_not_all_of_it_is_known(tmp_path: Path, known):
    with writer(tmp_path / "a.tif", format="imagej", spacing_um=known) as out:
        fill(out)
    assert open_stack(tmp_path / "a.tif").spacing_um == {}


def test_somebody_elses_part_is_left_alone(tmp_path: Path):
    (tmp_path / "a.ome.tif.part").mkdir()
    (tmp_path / "a.ome.tif.part/thesis.txt").write_text("words")
    with pytest.raises(WriteError, match="is in the way"), writer(tmp_path / "a.ome.tif"):
        pass
    assert (tmp_path / "a.ome.tif.part/thesis.txt").read_text() == "words"


def test_a_link_in_place_of_the_journal_is_not_followed(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("words")
    (tmp_path / "a.ome.tif.part.log").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(WriteError, match="is a link and in the way"), writer(tmp_path / "a.ome.tif"):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "words"


def test_folders_that_hold_anything_else_are_not_replaced(tmp_path: Path):
    with writer(tmp_path / "a.zarr") as out:
        fill(out)
    (tmp_path / "a.zarr/thesis.docx").write_text("words")
    (tmp_path / "pictures").mkdir()
    Image.fromarray(plane()).save(tmp_path / "pictures/T0_C0.png")
    for name, format in (("a.zarr", "ome-zarr"), ("pictures", "png")):
        with pytest.raises(WriteError, match="holds other things than a stack"):
            writer(tmp_path / name, format=format, overwrite=True)
    with writer(tmp_path / "planes", format="png") as out:
        fill(out)
    with writer(tmp_path / "planes", format="png", overwrite=True) as out:
        fill(out)


def test_no_file_of_the_series_that_is_read_is_replaced(tmp_path: Path):
    for t in range(3):
        tifffile.imwrite(tmp_path / f"t{t}.tif", plane(t), photometric="minisblack")
    series = open_stack(tmp_path, series="T")
    with pytest.raises(WriteError, match="is the file to read from"):
        StackWriter(tmp_path / "t1.tif", like=series, overwrite=True)

"""Faulty files end in one sentence that names them: no wrong pixel, no code of theirs run, no dead or fat process."""

import json
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from pssr.errors import PssrError, ReadError
from pssr.io.open import open_stack

READ_ALL = """
import itertools, resource, sys, time
import numpy, tifffile, zarr
from pssr.errors import PssrError
from pssr.io.open import open_stack
def peak():
    return int(next(line for line in open("/proc/self/status") if "VmHWM" in line).split()[1])
before, start = peak(), time.perf_counter()
try:
    stack = open_stack(sys.argv[1])
    for plane in stack.planes(itertools.product(*(range(stack.sizes[axis]) for axis in "TCZ"))):
        pass
    print("read")
except PssrError as error:
    print("refused" if sys.argv[2] in str(error) else "refused without a name", error)
print((peak() - before) // 1024, time.perf_counter() - start)
"""


def outcome(path: Path) -> tuple[str, int, float]:
    """What became of a file in a process of its own: the words, MB above the import, and seconds."""
    command = [sys.executable, "-c", READ_ALL, str(path), path.name]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, f"{path.name}: {found.returncode} {found.stderr[-500:]}"
    said, numbers = found.stdout.strip().rsplit("\n", 1)
    grown, seconds = numbers.split()
    return said, int(grown), float(seconds)


# Damaged files of microscopes


def test_every_damaged_file_is_refused_soon_and_in_little_memory(data_folder):
    damaged = [
        *data_folder.rglob("bad_*.czi"),
        data_folder / "czi_synthetic_fixtures/aborted_T5_C2_last_half_frame.czi",
    ]
    assert len(damaged) > 6
    for path in damaged:
        said, grown, seconds = outcome(path)
        if path.name == "bad_is_really_tiff.czi":
            assert said == "read" or said.startswith("refused "), said
        else:
            assert said.startswith(f"refused {path}: "), said
        assert "\n" not in said
        assert grown < 300
        assert seconds < 10


@pytest.mark.parametrize("second", ["same", "other"])
def test_a_time_point_stored_twice_is_an_error(data_folder, tmp_path: Path, second):
    """Two planes of one place, the directory and the planes agreeing: which is right is not known."""
    content = bytearray((data_folder / "czi_synthetic_fixtures/T2_only.czi").read_bytes())
    # Both entries of the directory and both heads name their time point; all are made 0.
    at, changed = content.find(b"T\0\0\0"), 0
    while at >= 0:
        if int.from_bytes(content[at + 4 : at + 8], "little") == 1:
            content[at + 4 : at + 8] = bytes(4)
            content[at + 12 : at + 16] = bytes(4)
            changed += 1
        at = content.find(b"T\0\0\0", at + 1)
    assert changed == 2
    (tmp_path / "a.czi").write_bytes(content)
    with pytest.raises(ReadError, match="holds 1 planes twice|disagree"):
        open_stack(tmp_path / "a.czi")


# What a name promises and a file does not hold


def test_content_decides_and_not_the_name(data_folder, tmp_path: Path):
    plane = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(plane).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "png.tif")
    tifffile.imwrite(tmp_path / "tiff.czi", plane)
    shutil.copy(data_folder / "czi_synthetic_fixtures/T1_only.czi", tmp_path / "czi.tif")
    np.testing.assert_array_equal(open_stack(tmp_path / "png.tif").plane(), plane)
    np.testing.assert_array_equal(open_stack(tmp_path / "tiff.czi").plane(), plane)
    assert open_stack(tmp_path / "czi.tif").format == "CZI"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    (tmp_path / "pointer.tif").write_text(pointer)
    with pytest.raises(ReadError, match=r"pointer.tif: is not CZI.*begins with b'version"):
        open_stack(tmp_path / "pointer.tif")


# Values that are no counts


def test_what_is_not_a_number_comes_back_as_it_is(tmp_path: Path):
    plane = np.array([[np.nan, np.inf, -np.inf], [1e38, 1e-45, -0.0]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", plane, photometric="minisblack")
    assert open_stack(tmp_path / "a.tif").plane().tobytes() == plane.tobytes()


# Metadata that grow or lead elsewhere


def test_an_entity_bomb_ends_soon_and_in_little_memory(tmp_path: Path):
    entities = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY e0 "ha">{entities}]><OME>&e9;</OME>'
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((4, 4), np.uint8), description=bomb, metadata=None)
    said, grown, seconds = outcome(tmp_path / "a.ome.tif")
    assert said.startswith(("refused ", "read"))
    assert grown < 200
    assert seconds < 10


# Zarr


def made(path: Path, *, version: int = 2, **how) -> Path:
    group = zarr.create_group(store=path, zarr_format=version)
    array = group.create_array("0", shape=(2, 8, 8), chunks=(1, 8, 8), dtype="u2", **how)
    array[:] = np.random.default_rng(0).integers(1, 9, (2, 8, 8))
    axes = [{"name": name} for name in "tyx"]
    about = {"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}
    group.attrs.update(
        {"multiscales": [about]} if version == 2 else {"ome": {"version": "0.5", "multiscales": [about]}}
    )
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kept", [0, 1, 0.5])
def test_a_cut_chunk_is_an_error(tmp_path: Path, version, kept):
    path = made(tmp_path / "a.zarr", version=version)
    chunk = path / ("0/1.0.0" if version == 2 else "0/c/1/0/0")
    content = chunk.read_bytes()
    chunk.write_bytes(content[: int(kept if isinstance(kept, int) else kept * len(content))])
    with pytest.raises(ReadError, match=r"a.zarr: T 1, C 0, Z 0 cannot be read"):
        open_stack(path).plane(T=1)
    assert open_stack(path).plane(T=0).any()


BROKEN = {
    "no object": (lambda said: 7, "damaged"),
    "no shape": (lambda said: said.pop("shape"), "damaged"),
    "a negative shape": (lambda said: said.update(shape=[2, -8, 8]), "announces"),
    "a fractional shape": (lambda said: said.update(shape=[2, 8.5, 8]), "damaged"),
    "10^18 pixels": (
        lambda said: said.update(shape=[2, 10**9, 10**9], chunks=[1, 64, 64]),
        "announces planes of",
    ),
    "a chunk of 10^18": (lambda said: said.update(chunks=[1, 10**9, 10**9]), "announces planes of"),
    "chunks of another rank": (lambda said: said.update(chunks=[8, 8]), "announces"),
    "an unknown codec": (lambda said: said.update(compressor={"id": "mystery"}), "codec 'mystery'"),
    "objects": (lambda said: said.update(dtype="|O", filters=[{"id": "json2"}]), "codec 'json2'"),
    "a strange type": (lambda said: said.update(dtype="<Q7"), "cannot be opened"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_metadata_are_an_error(tmp_path: Path, name):
    change, message = BROKEN[name]
    path = made(tmp_path / "a.zarr")
    said = json.loads((path / "0/.zarray").read_text())
    changed = change(said)
    (path / "0/.zarray").write_text(json.dumps(changed if changed == 7 else said))
    with pytest.raises(ReadError, match=rf"a.zarr: .*{message}"):
        open_stack(path)


@pytest.mark.parametrize(
    "name", ["../secret.zarr/0", "/etc", "0/../../secret.zarr/0", "..\\secret", "file:///etc"]
)
def test_a_name_that_leaves_the_store_is_not_followed(tmp_path: Path, name):
    made(tmp_path / "secret.zarr")
    path = made(tmp_path / "a.zarr")
    said = json.loads((path / ".zattrs").read_text())
    said["multiscales"][0]["datasets"][0]["path"] = name
    (path / ".zattrs").write_text(json.dumps(said))
    with pytest.raises(ReadError, match=r"a.zarr: its metadata name .* outside of it"):
        open_stack(path)


class Payload:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


PICKLE, ZSTD = {"id": "pickle"}, {"id": "zstd", "level": 1}


@pytest.mark.parametrize(
    "change",
    [{"filters": [PICKLE]}, {"filters": [{"id": "delta", "dtype": "<u2"}, PICKLE]}, {"compressor": PICKLE},
     {"filters": [PICKLE], "dtype": "|O", "compressor": None}, {"filters": [PICKLE, {"id": "delta", "dtype": "<u2"}]},
     {"compressor": PICKLE, "filters": [ZSTD]}],
)  # fmt: skip
def test_a_pickle_among_the_codecs_never_runs(tmp_path: Path, change):
    path, mark = made(tmp_path / "a.zarr"), tmp_path / "mark"
    said = json.loads((path / "0/.zarray").read_text()) | change
    (path / "0/.zarray").write_text(json.dumps(said))
    for chunk in ("0/0.0.0", "0/1.0.0"):
        (path / chunk).write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ReadError, match="codec 'pickle', which is not known to be harmless"):
        open_stack(path)
    assert not mark.exists()


def test_a_pickle_named_by_the_newer_format_never_runs(tmp_path: Path):
    path, mark = made(tmp_path / "a.zarr", version=3), tmp_path / "mark"
    said = json.loads((path / "0/zarr.json").read_text())
    said["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]
    (path / "0/zarr.json").write_text(json.dumps(said))
    (path / "0/c/0/0/0").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(PssrError, match="codec 'pickle'"):
        open_stack(path)
    assert not mark.exists()


def test_metadata_exchanged_after_the_check_are_checked_again(tmp_path: Path):
    path, mark = made(tmp_path / "a.zarr"), tmp_path / "mark"
    stack = open_stack(path)
    said = json.loads((path / "0/.zarray").read_text()) | {"filters": [PICKLE]}
    (path / "0/.zarray").write_text(json.dumps(said))
    (path / "0/0.0.0").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ReadError, match="codec 'pickle'"):
        stack.plane()
    assert not mark.exists()


def test_many_planes_need_few_files_open(tmp_path: Path):
    """Two hundred files of one movie, and 64 descriptors."""
    for t in range(200):
        tifffile.imwrite(tmp_path / f"t{t}.tif", np.full((4, 4), t % 251, np.uint8))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        stack = open_stack(tmp_path, series="T")
        assert [int(plane[0, 0]) for plane in stack.movie()] == [t % 251 for t in range(200)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

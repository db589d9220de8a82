import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from pssr.errors import ReadError
from pssr.io.open import open_stack

PLANES = np.random.default_rng(0).integers(1, 65535, (3, 30, 30), np.uint16)


def made(path: Path, **how) -> Path:
    group = zarr.create_group(store=path, zarr_format=3)
    axes = [{"name": name} for name in "tyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    array = group.create_array("0", shape=PLANES.shape, dtype=PLANES.dtype, **how)
    array[:] = PLANES
    return path


def test_chunks_that_are_there_need_no_note(tmp_path: Path):
    for number, how in enumerate(({"chunks": (1, 16, 16)}, {"chunks": (1, 8, 8), "shards": (1, 32, 32)})):
        assert open_stack(made(tmp_path / f"{number}.zarr", **how)).notes == ()


def test_absent_chunks_are_counted(tmp_path: Path):
    path = made(tmp_path / "a.zarr", chunks=(1, 16, 16))
    (path / "0/c/1/0/1").unlink()
    assert "1 of 12 chunks are absent and read as its fill value" in open_stack(path).notes


def test_chunks_absent_within_a_shard_are_counted(tmp_path: Path):
    path = made(tmp_path / "a.zarr", chunks=(1, 8, 8), shards=(1, 32, 32))
    array = zarr.open_array(path / "0", mode="r+")
    array[1, :8, :16] = 0  # what is equal to the fill value is not stored
    assert "2 of 48 chunks are absent and read as its fill value" in open_stack(path).notes


def test_a_chunk_that_is_no_file_is_not_waited_for(tmp_path: Path):
    path = made(tmp_path / "a.zarr", chunks=(1, 16, 16))
    chunk = path / "0/c/1/0/1"
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(ReadError, match=r"0/c/1/0/1 is not a regular file"):
        open_stack(path)


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd"])
def test_a_chunk_that_leads_out_of_the_store_is_refused(tmp_path: Path, target):
    path = made(tmp_path / "a.zarr", chunks=(1, 16, 16))
    chunk = path / "0/c/1/0/1"
    chunk.unlink()
    chunk.symlink_to(target)
    with pytest.raises(ReadError, match=r"leads out of it"):
        open_stack(path)


def test_a_link_to_the_whole_store_is_read(tmp_path: Path):
    (tmp_path / "b.zarr").symlink_to(made(tmp_path / "a.zarr", chunks=(1, 16, 16)))
    np.testing.assert_array_equal(open_stack(tmp_path / "b.zarr").plane(T=2), PLANES[2])


def test_one_large_shard_of_small_chunks_is_read(tmp_path: Path):
    group = zarr.create_group(store=tmp_path / "a.zarr", zarr_format=3)
    axes = [{"name": name} for name in "tyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.create_array(
        "0", shape=(4096, 2048, 4096), dtype="u2", chunks=(1, 512, 512), shards=(4096, 2048, 4096)
    )
    stack = open_stack(tmp_path / "a.zarr")
    assert stack.sizes["T"] == 4096
    assert not stack.plane(T=7).any()


def test_more_planes_than_any_movie_has_are_refused(tmp_path: Path):
    group = zarr.create_group(store=tmp_path / "a.zarr", zarr_format=3)
    axes = [{"name": name} for name in "tyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.create_array("0", shape=(10**9, 8, 8), dtype="u1", chunks=(1, 8, 8))
    with pytest.raises(ReadError, match="announces 1000000000 planes"):
        open_stack(tmp_path / "a.zarr")


def test_without_a_scale_the_pixel_size_is_unknown(tmp_path: Path):
    stack = open_stack(made(tmp_path / "a.zarr", chunks=(1, 16, 16)))
    assert (stack.spacing_um, stack.interval_s) == ({}, None)

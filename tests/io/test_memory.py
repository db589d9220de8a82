import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from pssr.errors import ReadError
from pssr.io.memory import check_fits
from pssr.io.open import open_stack


def test_a_plane_must_fit_into_free_memory_a_few_times(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=3_000_000))
    check_fits(Path("a.tif"), (1000, 500), np.dtype("u2"))
    with pytest.raises(
        ReadError, match=r"a.tif: announces planes of 1000 x 501 px .* and 0.0 GB of memory are free"
    ):
        check_fits(Path("a.tif"), (1000, 501), np.dtype("u2"))


@pytest.mark.parametrize("chunks", [(1, 10**6, 10**6), (1, 64, 64)])
def test_an_array_without_end_is_refused_before_it_is_read(tmp_path: Path, chunks):
    group = zarr.create_group(store=tmp_path / "a.zarr", zarr_format=2)
    group.create_array("0", shape=(3, 10**6, 10**6), chunks=chunks, dtype="u2")
    axes = [{"name": name} for name in "tyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    with pytest.raises(ReadError, match=r"a.zarr: announces planes of 1000000 x 1000000 px"):
        open_stack(tmp_path / "a.zarr")
    with zipfile.ZipFile(tmp_path / "a.ozx", "w") as archive:
        for file in (tmp_path / "a.zarr").rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "a.zarr"))
    with pytest.raises(ReadError, match=r"a.ozx: announces planes"):
        open_stack(tmp_path / "a.ozx")

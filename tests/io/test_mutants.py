"""Damaged files never end or hang the interpreter, and never raise anything but our own errors."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import mutants
import numpy as np
import pytest
import tifffile

BUDGET = 120  # copies of each file
CZI = ("T2_only.czi", "T3_C1_Z4_u8_zstd1.czi", "no_metadata_T3.czi")
TIFF = {
    "plain.tif": {"metadata": None},
    "lzw.tif": {"compression": "lzw"},
    "tiles.tif": {"compression": "zlib", "predictor": True, "tile": (16, 16)},
    "ome.ome.tif": {"metadata": {"axes": "TYX"}},
    "imagej.tif": {"imagej": True},
    "big.tif": {"metadata": None, "bigtiff": True},
}


def outcomes(source: Path, folder: Path) -> Counter[str]:
    words = [sys.executable, mutants.__file__, str(source), "0", str(BUDGET), str(folder)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert found.returncode == 0, f"{found.stdout.splitlines()[-1:]} {found.stderr[-2000:]}"
    return Counter(line.split()[1] for line in found.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("name", CZI)
def test_damaged_czi(data_folder, tmp_path: Path, name):
    found = outcomes(data_folder / "czi_synthetic_fixtures" / name, tmp_path)
    assert found.keys() <= {"read", "refused"}, found
    assert found["refused"] > 0.3 * BUDGET


@pytest.mark.slow
@pytest.mark.parametrize("name", TIFF)
def test_damaged_tiff(tmp_path: Path, name):
    planes = np.random.default_rng(0).integers(0, 1000, (4, 40, 41), np.uint16)
    how = {"photometric": None} if "imagej" in TIFF[name] else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / name, planes, **how, **TIFF[name])
    found = outcomes(tmp_path / name, tmp_path)
    assert found.keys() <= {"read", "refused"}, found
    assert found["refused"] > 0.2 * BUDGET

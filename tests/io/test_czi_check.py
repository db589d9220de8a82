import time
from pathlib import Path

import numpy as np
import pytest

from pssr.errors import ReadError
from pssr.io.czi_check import read_structure
from pssr.io.open import open_stack

GOOD = "czi_synthetic_fixtures/T5_C2_Z1_u16.czi"


def test_the_directory_lists_every_plane(data_folder):
    blocks, xml = read_structure(data_folder / GOOD)
    assert {(block.place["T"], block.place["C"]) for block in blocks} == {
        (t, c) for t in range(5) for c in range(2)
    }
    assert {block.shape for block in blocks} == {(96, 128)}
    assert xml.startswith(b"<ImageDocument") or b"<ImageDocument" in xml[:200]


def test_it_is_quick(data_folder):
    path = data_folder / "live_mito_airyscan/dev_20240927_cell12_T100.czi"
    times = []
    for _ in range(5):
        start = time.perf_counter()
        read_structure(path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


@pytest.mark.parametrize(
    "name",
    ["bad_empty", "bad_is_really_tiff", "bad_random", "bad_segfaults_aicspylibczi", "bad_truncated_10pct",
     "bad_truncated_50pct", "bad_truncated_90pct", "bad_zero_header"],
)  # fmt: skip
def test_damaged_files_are_refused(data_folder, name):
    with pytest.raises(ReadError):
        open_stack(data_folder / f"czi_synthetic_fixtures/{name}.czi")


@pytest.mark.parametrize("kept", [0.0001, 0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_refused(data_folder, tmp_path: Path, kept):
    content = (data_folder / GOOD).read_bytes()
    (tmp_path / "cut.czi").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ReadError):
        open_stack(tmp_path / "cut.czi")


def test_changed_bytes_in_the_structure_raise_nothing_else(data_folder, tmp_path: Path):
    """Any damage to heads and directory gives blocks or one kind of error, quickly."""
    content = (data_folder / "czi_synthetic_fixtures/T2_only.czi").read_bytes()
    directory = content.index(b"ZISRAWDIRECTORY")
    rng = np.random.default_rng(0)
    refused = 0
    for at in [*rng.integers(0, 112, 60), *rng.integers(directory, len(content), 240)]:
        mutant = bytearray(content)
        mutant[at] ^= int(rng.integers(1, 256))
        (tmp_path / "m.czi").write_bytes(mutant)
        try:
            blocks, _ = read_structure(tmp_path / "m.czi")
        except ReadError:
            refused += 1
        else:
            assert all(0 < side < 1 << 20 for block in blocks for side in block.shape)
    assert refused > 60

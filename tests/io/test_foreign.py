"""Formats that only bioio knows; the file here is one that its OME-TIFF reader takes and ours does not."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ReadError
from pssr.io.foreign import open_foreign


@pytest.fixture
def planes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65535, (3, 2, 2, 9, 8), np.uint16)


def test_planes_names_and_units_come_through(tmp_path: Path, planes):
    metadata = {
        "axes": "TCZYX", "Channel": {"Name": ["mito", "er"]}, "PhysicalSizeX": 0.05, "PhysicalSizeY": 0.06,
        "PhysicalSizeZ": 0.2,
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tiff", planes, metadata=metadata, photometric="minisblack")
    stack = open_foreign(tmp_path / "a.ome.tiff")
    assert stack is not None
    assert tuple(stack.sizes.values()) == planes.shape
    assert (stack.channels, stack.format) == (("mito", "er"), "TIFF through bioio")
    assert stack.spacing_um == pytest.approx({"X": 0.05, "Y": 0.06, "Z": 0.2})
    for t, c, z in np.ndindex(3, 2, 2):
        np.testing.assert_array_equal(stack.plane(T=t, C=c, Z=z), planes[t, c, z])


def test_what_nothing_reads_is_told_with_its_first_bytes(tmp_path: Path):
    (tmp_path / "a.nd2").write_bytes(b"\xda\xce\xbe\x0a and so on")
    with pytest.raises(ReadError, match=r"a.nd2: is not CZI.*begins with b'\\xda\\xce\\xbe.*reader of bioio"):
        open_foreign(tmp_path / "a.nd2")

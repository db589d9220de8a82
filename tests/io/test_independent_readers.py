"""Every plane of every real file, against a reader that shares no code with ours for that purpose."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pylibCZIrw import czi

from pssr.errors import PssrError
from pssr.io.open import open_stack
from pssr.io.stack import Stack

# What must be refused, and the word that says why.
REFUSED = {
    "LSM880_AiryScan_ragged_32phase.czi": "phases",
    "aborted_T5_C2_last_half_frame.czi": "missing", "ragged_T4_C2_missing_T2C1.czi": "missing",
    "mitosis_T00.ome.tif": "files that are not here", "mitosis_T01.ome.tif": "files that are not here", "mitosis_T02.ome.tif": "files that are not here",
}  # fmt: skip


def planes(stack: Stack) -> list[tuple[int, int, int]]:
    return list(itertools.product(*(range(stack.sizes[axis]) for axis in "TCZ")))


def check_czi(path: Path) -> None:
    with czi.open_czi(str(path)) as independent:
        scenes = sorted(independent.scenes_bounding_rectangle) or [None]
        start = {axis: first for axis, (first, _) in independent.total_bounding_box.items() if axis in "TCZ"}
        for scene in scenes:
            stack = open_stack(path, scene=scene if len(scenes) > 1 else None)
            for t, c, z in planes(stack):
                at = {
                    axis: start[axis] + k for axis, k in zip("TCZ", (t, c, z), strict=True) if axis in start
                }
                samples = len(stack.channels) // independent.total_bounding_box["C"][1] if "C" in start else 1
                at["C"] = start.get("C", 0) + c // samples
                found = independent.read(plane=at, **({} if scene is None else {"scene": scene}))
                # Colours come as blue, green, red.
                expected = found[..., samples - 1 - c % samples]
                np.testing.assert_array_equal(stack.plane(T=t, C=c, Z=z), expected, err_msg=f"{scene} {at}")


def check_tiff(path: Path) -> None:
    stack = open_stack(path)
    with tifffile.TiffFile(path) as tif:
        pages = [page.asarray() for page in tif.pages]
    if stack.sizes["C"] == 3 and pages[0].ndim == 3:
        pages = [page[..., c] for page in pages for c in range(3)]
    assert len(pages) == len(planes(stack))
    for (t, c, z), page in zip(planes(stack), pages, strict=True):
        np.testing.assert_array_equal(stack.plane(T=t, C=c, Z=z), page)


@pytest.mark.parametrize("folder", ["czi_readers", "czi_synthetic_fixtures", "live_mito_airyscan"])
def test_every_czi(data_folder, folder):
    files = [
        path for path in sorted((data_folder / folder).glob("*.czi")) if not path.name.startswith("bad_")
    ]
    assert files
    for path in files:
        if path.name in REFUSED:
            with pytest.raises(PssrError, match=REFUSED[path.name]):
                open_stack(path)
        else:
            check_czi(path)


def test_every_tiff(data_folder):
    files = sorted(data_folder.rglob("*.tif"))
    assert len(files) > 80
    for path in files:
        if path.name in REFUSED:
            with pytest.raises(PssrError, match=REFUSED[path.name]):
                open_stack(path)
        else:
            check_tiff(path)

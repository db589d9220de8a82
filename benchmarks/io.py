"""What do reading and writing cost beside the bare libraries? Ratios of medians, measured alternately in one run."""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import zarr
from aicspylibczi import CziFile
from pylibCZIrw import czi

from pssr.io.open import open_stack
from pssr.io.write import StackWriter

RUNS = 5
LARGE, SMALL = (60, 1024), (200, 96)  # frames, and pixels along a side


def frames(count: int, side: int) -> np.ndarray:
    """Counts such as a microscope gives: a smooth scene with shot noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] * (12 / side)
    scene = 400 + 200 * np.sin(x) * np.cos(y)
    return np.stack([rng.poisson(scene + 5 * t) for t in range(count)]).astype(np.uint16)


def ours(path: Path) -> None:
    """Every plane, as training and prediction read them."""
    for _ in open_stack(path).movie():
        pass


def by_tifffile(path: Path) -> None:
    """Every page, one at a time."""
    with tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            page.asarray()


def by_libczi(path: Path) -> None:
    """Every plane by name, from one open file."""
    with path.open("rb") as file:
        opened = CziFile(file)
        first, count = opened.get_dims_shape()[0]["T"]
        for t in range(first, count):
            opened.read_image(T=t, C=0, S=0)


def by_zarr(path: Path) -> None:
    """Every plane of the finest array."""
    array = zarr.open_group(path, mode="r")["0"]
    for t in range(array.shape[0]):
        np.asarray(array[t, 0, 0])


def with_writer(path: Path, planes: np.ndarray, how: str | None) -> None:
    """Through StackWriter, forced to disk and renamed."""
    sizes = {"T": len(planes), "C": 1, "Z": 1, "Y": planes.shape[1], "X": planes.shape[2]}
    with StackWriter(path, sizes=sizes, dtype="u2", channels=["a"], compression=how, overwrite=True) as out:
        for t, plane in enumerate(planes):
            out.write(plane, T=t)


def with_tifffile(path: Path, planes: np.ndarray, how: str | None) -> None:
    """Plane by plane through tifffile, one strip a page, not forced to disk."""
    compression = {None: None, "deflate": "zlib", "zstd": "zstd"}[how]
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(
            iter(planes), shape=planes.shape, dtype=planes.dtype, photometric="minisblack", compression=compression,
            predictor=compression is not None, rowsperstrip=planes.shape[1], metadata={"axes": "TYX"},
        )  # fmt: skip


def compared(name: str, count: int, bare: Callable[[], None], wrapped: Callable[[], None]) -> None:
    """One row: planes a second, and the ratio of times."""
    taken: dict[Callable[[], None], list[float]] = {bare: [], wrapped: []}
    for _ in range(RUNS):
        for way, times in taken.items():
            start = time.perf_counter()
            way()
            times.append(time.perf_counter() - start)
    base, mine = (statistics.median(times) for times in taken.values())
    print(f"{name:<44}{count / base:>12.0f}{count / mine:>12.0f}{mine / base:>9.2f}", flush=True)


PEAK = """
import sys, numpy, tifffile, zarr
from pssr.io.open import open_stack
from pssr.io.write import StackWriter

def peak():
    return int(next(line for line in open("/proc/self/status") if "VmHWM" in line).split()[1])

plane, before = numpy.random.default_rng(0).integers(0, 999, (1024, 1024), numpy.uint16), peak()
if sys.argv[1] == "write":
    sizes = {"T": 1000, "C": 1, "Z": 1, "Y": 1024, "X": 1024}
    with StackWriter(sys.argv[2], sizes=sizes, dtype="u2", channels=["a"]) as out:
        for t in range(1000):
            out.write(plane, T=t)
else:
    for plane in open_stack(sys.argv[2]).movie():
        pass
print(peak() - before)
"""


def peak_mb(*words: str) -> float:
    """Memory above the import in a process of its own."""
    command = [sys.executable, "-c", PEAK, *words]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


def reading(folder: Path) -> None:
    """Planes a second of every format, large planes and small ones."""
    for count, side in (LARGE, SMALL):
        planes, what = frames(count, side), f"{count} planes of {side} x {side}"
        for how in (None, "deflate", "zstd"):
            path = folder / f"{side}_{how}.ome.tif"
            with_writer(path, planes, how)
            compared(
                f"read {what}, TIFF {how or 'plain'}",
                count,
                lambda p=path: by_tifffile(p),
                lambda p=path: ours(p),
            )
        path = folder / f"{side}.zarr"
        with_writer(path, planes, None)
        compared(f"read {what}, Zarr", count, lambda p=path: by_zarr(p), lambda p=path: ours(p))
        path = folder / f"{side}.czi"
        with czi.create_czi(str(path)) as out:
            for t, plane in enumerate(planes):
                out.write(plane[..., None], plane={"T": t, "C": 0, "Z": 0})
        open_stack(path)  # A file is probed once in a process.
        compared(f"read {what}, CZI", count, lambda p=path: by_libczi(p), lambda p=path: ours(p))


def writing(folder: Path) -> None:
    """Planes a second into OME-TIFF."""
    for (count, side), how in itertools.product((LARGE, SMALL), (None, "deflate", "zstd")):
        planes = frames(count, side)
        mine, theirs = folder / "mine.ome.tif", folder / "theirs.ome.tif"
        compared(
            f"write {count} planes of {side} x {side}, TIFF {how or 'plain'}", count,
            lambda f=theirs, p=planes, h=how: with_tifffile(f, p, h), lambda f=mine, p=planes, h=how: with_writer(f, p, h),
        )  # fmt: skip


def memory(folder: Path) -> None:
    """Peak of writing 2 GB, and of reading them."""
    for name in ("a.ome.tif", "a.zarr"):
        written, read = (peak_mb(what, str(folder / name)) for what in ("write", "read"))
        print(
            f"2 GB as {name}: {written:.0f} MB above the import to write them, {read:.0f} MB to read them",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory(folder)
        print(f"{'planes a second':<44}{'bare':>12}{'pssr':>12}{'ratio':>9}")
        reading(folder)
        writing(folder)


if __name__ == "__main__":
    main()

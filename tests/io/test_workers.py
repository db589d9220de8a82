"""Every plane from forked and spawned workers and from threads is the plane that one process reads."""

import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from pssr.io.open import open_stack
from pssr.io.stack import Stack
from pssr.io.write import StackWriter


class Hashes(Dataset):
    """Sequence of the hash of each plane, as a training's loader would read them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.places = list(itertools.product(*(range(stack.sizes[axis]) for axis in "TCZ")))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, k: int) -> str:
        t, c, z = self.places[k]
        return hashlib.sha256(self.stack.plane(T=t, C=c, Z=z).tobytes()).hexdigest()


@pytest.fixture(scope="module", params=["czi", "ome-tiff", "ome-zarr", "mp4"])
def planes(request, tmp_path_factory, data_folder) -> Hashes:
    if request.param == "czi":
        return Hashes(open_stack(data_folder / "live_mito_airyscan/dev_20240927_cell12_T100.czi"))
    endings = {"ome-tiff": "a.ome.tif", "ome-zarr": "a.zarr", "mp4": "a.mp4"}
    path: Path = tmp_path_factory.mktemp("workers") / endings[request.param]
    frames = np.random.default_rng(0).integers(0, 65535, (40, 32, 30), np.uint16)
    sizes = {"T": 40, "C": 1, "Z": 1, "Y": 32, "X": 30}
    how = "zstd" if request.param == "ome-tiff" else None
    with StackWriter(path, sizes=sizes, dtype="u2", channels=["mito"], compression=how) as out:
        for t, frame in enumerate(frames):
            out.write(frame, T=t)
    return Hashes(open_stack(path))


# More workers than cores is the point here.
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_four_workers(planes, start):
    expected = [planes[k] for k in range(len(planes))]
    assert len(set(expected)) == len(planes)
    loader = DataLoader(planes, batch_size=None, num_workers=4, multiprocessing_context=start)
    assert list(loader) == expected


def test_eight_threads(planes):
    expected = [planes[k] for k in range(len(planes))]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(planes.__getitem__, range(len(planes)))) == expected


def test_a_process_forked_in_the_middle_of_a_loop_reads_its_own_planes(planes):
    """Both go on with the same generator, and so with what is left of one open file."""
    from multiprocessing import get_context

    places, stack = planes.places[:12], planes.stack
    expected = [plane.tobytes() for plane in stack.planes(places)]
    going = stack.planes(places)
    found = [next(going).tobytes() for _ in range(4)]
    context = get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send([plane.tobytes() for plane in going]))
    child.start()
    found += [plane.tobytes() for plane in going]
    assert ours.recv() == expected[4:]
    child.join()
    assert found == expected

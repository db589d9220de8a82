import numpy as np
import pytest
import torch

from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity
from pssr.data.patches import Partner, Patches
from pssr.data.resident import Resident, bytes_of, resident
from pssr.data.split import Piece

CPU = torch.device("cpu")
DTYPES = ["u1", "i1", "u2", "i2", ">u2", "u4", "f4", "f8"]


def movie(dtype: str, side: int = 48, frames: int = 6) -> np.ndarray:
    top = 250 if np.dtype(dtype).itemsize == 1 else 60_000
    counts = np.random.default_rng(0).integers(
        0, min(top, np.iinfo(dtype).max) if dtype[-2] in "ui" else top, (frames, side, side)
    )
    return counts.astype(dtype)


def patches(dtype: str, *, partner: bool = False) -> Patches:
    movies = [movie(dtype), movie(dtype, frames=5), movie(dtype, side=24)]
    return Patches(
        PlaneCache(movies), [Piece(0, 0, 6, 0, 48), Piece(1, 0, 5, 0, 40)], [Intensity(3, 4000), Intensity(100, 101)],
        frames=3, ends="reflect", size_px=16, batch=4, seed=0,
        partners={0: Partner(2, Intensity(0, 100), 2)} if partner else {},
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("partner", [False, True])
def test_patches_cut_on_the_device_are_those_of_the_cache(dtype: str, partner: bool):
    made = patches(dtype, partner=partner)
    stays = Resident.of(made.cache, CPU)
    for k in range(40):
        for square, expected in zip(made.squares(k), made[k], strict=True):
            torch.testing.assert_close(
                stays.cut(square), torch.from_numpy(expected), rtol=0, atol=0, equal_nan=True
            )


def test_planes_take_no_more_room_than_on_disk():
    made = patches("u2")
    assert bytes_of(made.cache) == sum(stack.nbytes for stack in made.cache.movies)
    stays = Resident.of(made.cache, CPU)
    assert sum(plane.nbytes for plane in stays.planes.values()) == bytes_of(made.cache)


def test_without_a_gpu_planes_stay_where_they_are():
    assert resident(patches("u2").cache, CPU) is None

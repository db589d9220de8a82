import numpy as np
import pytest
import torch

from pssr.errors import OutOfMemory, ShapeError
from pssr.networks.edsr import SIZES, edsr
from pssr.predict import engine
from pssr.predict.engine import restore

CPU = torch.device("cpu")


def bundle(h: int, w: int, frames: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((frames, h, w)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return edsr(frames=3, scale=4, size="fast").eval()


class Strided(torch.nn.Module):
    """Halves and doubles the grid, as a U-Net does: exact only where tiles start on even pixels."""

    scale, frames, halo, multiple, local = 1, 1, 4, 2, True

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = torch.nn.functional.max_pool2d(x, 2)
        return self.weight * torch.nn.functional.interpolate(low, scale_factor=2)


class Crowded(torch.nn.Module):
    """A network whose device is full at more than 20 x 20 pixels."""

    scale, frames, halo, multiple, local = 1, 1, 1, 1, True

    def __init__(self, limit: int = 400) -> None:
        super().__init__()
        self.limit, self.weight, self.seen = limit, torch.nn.Parameter(torch.ones(1)), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape[-2:]))
        if x.shape[-1] * x.shape[-2] > self.limit:
            raise torch.OutOfMemoryError("full")
        return self.weight * x


@pytest.mark.parametrize("tile_px", [16, 17, 32, 50, 200])
def test_tiles_give_the_whole_frame_to_a_hundred_thousandth(net, tile_px: int):
    x = bundle(96, 75)
    whole = restore(net, x, device=CPU, tile_px=96)
    tiled = restore(net, x, device=CPU, tile_px=tile_px)
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_tiles_are_exact_for_every_size_and_scale(size: str, scale: int):
    torch.manual_seed(1)
    net = edsr(frames=1, scale=scale, size=size).eval()
    x = bundle(70, 41, frames=1)
    assert (
        np.abs(restore(net, x, device=CPU, tile_px=70) - restore(net, x, device=CPU, tile_px=24)).max()
        <= 1e-5
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (17, 31)])
def test_frames_of_any_size_work(net, shape):
    assert restore(net, bundle(*shape), device=CPU).shape == (4 * shape[0], 4 * shape[1])


def test_a_strided_network_gets_tiles_on_its_own_grid():
    x = bundle(37, 53, frames=1)
    net = Strided().eval()
    whole = restore(net, x, device=CPU, tile_px=64)
    assert whole.shape == (37, 53)
    np.testing.assert_array_equal(whole, restore(net, x, device=CPU, tile_px=9))


def test_a_full_device_gets_smaller_tiles_and_the_same_pixels():
    x, net = bundle(64, 64, frames=1), Crowded().eval()
    np.testing.assert_array_equal(restore(net, x, device=CPU), x[0])
    assert net.seen[0] == (64, 64)


def test_a_device_that_is_too_small_for_anything_is_an_error():
    with pytest.raises(OutOfMemory, match="out of memory at tiles of 16 px"):
        restore(Crowded(limit=10).eval(), bundle(64, 64, frames=1), device=CPU)


def test_a_network_that_sees_everything_is_not_tiled():
    net = Crowded(limit=10**6).eval()
    net.local = False
    restore(net, bundle(40, 40, frames=1), device=CPU, tile_px=16)
    assert net.seen == [(40, 40)]


def test_memory_decides_the_tile_where_nobody_else_does(net, monkeypatch):
    x = bundle(128, 128)
    whole = restore(net, x, device=CPU)
    monkeypatch.setattr(engine, "BUDGET_BYTES", 60 * 60 * 800)
    sides = []
    monkeypatch.setattr(
        engine, "tiles", lambda *size, **how: sides.append(how["side"]) or tiles(*size, **how)
    )
    from pssr.predict.tiles import tiles

    assert np.abs(restore(net, x, device=CPU) - whole).max() <= 1e-5
    assert sides[0] < 128


def test_bf16_is_near_fp32(net):
    x = bundle(48, 48)
    exact, fast = (restore(net, x, device=CPU, precision=p) for p in ("fp32", "bf16"))
    assert not np.array_equal(exact, fast)
    assert np.abs(exact - fast).max() < 0.03


def test_a_network_that_answers_in_another_shape_is_an_error():
    net = Crowded(limit=10**6).eval()
    net.scale = 2
    with pytest.raises(ShapeError, match="check its declared scale"):
        restore(net, bundle(8, 8, frames=1), device=CPU)

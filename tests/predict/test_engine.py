import pytest
import torch
from torch.nn import functional

from pssr.errors import OutOfMemory, ShapeError
from pssr.networks.edsr import SIZES, edsr
from pssr.predict.asking import Asking
from pssr.predict.engine import Engine
from pssr.predict.tiles import Box

CPU = torch.device("cpu")
FULL = "pssr.predict.engine.free_bytes"


def bundle(h: int, w: int, frames: int = 3, copies: int = 1) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.rand((copies, h, w), generator=rng) for _ in range(frames)]


def restored(net, x: list[torch.Tensor], field: Box | None = None, **words) -> torch.Tensor:
    return Engine(net, CPU, **words)(x, field)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


def part(field: Box, scale: int) -> Box:
    """Where a low-resolution field lies in the restored frame."""
    rows, columns = (slice(s.start * scale, s.stop * scale) for s in field)
    return rows, columns


@pytest.fixture(scope="module")
def net():
    return trained(frames=3, scale=4, size="fast")


def trained(**words):
    """A network all of whose weights matter, unlike those of a new one, and whose answers are about 0 to 1."""
    torch.manual_seed(0)
    net = edsr(**words).eval()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("weight"):
                weight.add_(0.2 * weight.std() * torch.randn_like(weight))
    return net


class Strided(torch.nn.Module):
    """Makes the grid coarser and finer again, as a U-Net does: exact only where tiles start on it."""

    scale, frames, local = 1, 1, True

    def __init__(self, multiple: int = 2) -> None:
        super().__init__()
        self.multiple, self.halo = multiple, 2 * multiple
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = functional.max_pool2d(x, self.multiple)
        return self.weight * functional.interpolate(low, scale_factor=self.multiple)


class Crowded(torch.nn.Module):
    """A network whose device is full at more than 20 x 20 pixels."""

    scale, frames, halo, multiple, local = 1, 1, 1, 1, True

    def __init__(self, limit: int = 400, error: BaseException | None = None) -> None:
        super().__init__()
        self.limit, self.weight, self.seen = limit, torch.nn.Parameter(torch.ones(1)), []
        self.error = error or torch.OutOfMemoryError("full")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape[-2:]))
        if x.shape[-1] * x.shape[-2] > self.limit:
            raise self.error
        return self.weight * x


@pytest.mark.parametrize("tile_px", [16, 17, 32, 64, 100, 256, None])
def test_tiles_give_the_whole_frame_to_a_hundred_thousandth(net, tile_px):
    x = bundle(271, 45)
    assert apart(restored(net, x, tile_px=271), restored(net, x, tile_px=tile_px)) <= 1e-5


def test_the_halo_is_what_makes_tiles_exact():
    net, x = trained(frames=3, scale=4, size="fast"), bundle(96, 45)
    answer = restored(net, x)
    net.halo = 2
    assert apart(answer, restored(net, x, tile_px=32)) > 1e-3


@pytest.mark.parametrize(("size", "tile_px"), [("small", 32), ("small", 64), ("small", 100), ("quality", 32)])
def test_tiles_of_larger_networks_give_the_whole_frame(size, tile_px):
    net = trained(frames=1, scale=2, size=size)
    x = bundle(107 if size == "small" else 71, 37, frames=1)
    assert apart(restored(net, x, tile_px=256), restored(net, x, tile_px=tile_px)) <= 1e-5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_tiles_are_exact_for_every_size_and_scale(size, scale):
    net = trained(frames=1, scale=scale, size=size)
    x = bundle(50, 31, frames=1)
    assert apart(restored(net, x, tile_px=50), restored(net, x, tile_px=24)) <= 1e-5


FIELDS = [
    (slice(0, 1), slice(0, 1)),
    (slice(0, 271), slice(7, 8)),
    (slice(33, 190), slice(5, 44)),
    (slice(270, 271), slice(0, 45)),
]


@pytest.mark.parametrize("tile_px", [32, 64, 100, 256, None])
@pytest.mark.parametrize("field", FIELDS, ids=["corner", "column", "middle", "last row"])
def test_a_field_is_the_same_part_of_the_whole_frame(net, whole, tile_px, field):
    x, answer = whole
    assert apart(restored(net, x, field, tile_px=tile_px), answer[:, *part(field, 4)]) <= 1e-5


@pytest.fixture(scope="module")
def whole(net) -> tuple[list[torch.Tensor], torch.Tensor]:
    x = bundle(271, 45)
    return x, restored(net, x)


@pytest.mark.parametrize("size", ["small", "quality"])
def test_a_field_is_the_same_part_for_larger_networks(size):
    net = trained(frames=1, scale=2, size=size)
    x, field = bundle(61, 47, frames=1), (slice(9, 52), slice(20, 23))
    assert apart(restored(net, x, field, tile_px=32), restored(net, x)[:, *part(field, 2)]) <= 1e-5


@pytest.mark.parametrize("multiple", [2, 3, 8])
@pytest.mark.parametrize("field", [None, (slice(3, 30), slice(11, 53)), (slice(36, 37), slice(52, 53))])
def test_a_strided_network_gets_tiles_on_its_own_grid(multiple, field):
    x, net = bundle(37, 53, frames=1), Strided(multiple).eval()
    answer = restored(net, x, tile_px=64)
    assert answer.shape == (1, 37, 53)
    wanted = answer[:, *field] if field else answer
    assert torch.equal(wanted, restored(net, x, field, tile_px=9))


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (1, 40), (17, 31), (33, 200)])
@pytest.mark.parametrize("tile_px", [None, 16])
def test_frames_of_any_size_work(net, shape, tile_px):
    answer = restored(net, bundle(*shape), tile_px=tile_px)
    assert answer.shape == (1, 4 * shape[0], 4 * shape[1])
    assert answer.isfinite().all()


def test_the_answer_is_that_of_the_network(net):
    x = bundle(20, 30)
    with torch.inference_mode():
        plain = net(torch.stack(x, 1))
    assert apart(restored(net, x), plain[0]) <= 1e-5


def test_turns_and_spread_are_the_same_in_tiles(net):
    x, asking = bundle(40, 33, copies=3), Asking(turns=True, spread=True, draws=2)
    answer = restored(net, x, asking=asking)
    assert answer.shape == (3, 160, 132)
    assert (answer[1:].amax((1, 2)) > 1e-3).all()
    assert apart(answer, restored(net, x, tile_px=16, asking=asking)) <= 1e-5


def test_a_full_device_gets_smaller_tiles_and_the_same_pixels():
    x, net = bundle(64, 64, frames=1), Crowded().eval()
    assert torch.equal(restored(net, x), x[0])
    assert net.seen[0] == (64, 64)


def test_a_device_that_was_full_once_begins_with_smaller_tiles_and_says_so_once():
    x, net = bundle(64, 64, frames=1), Crowded().eval()
    engine = Engine(net, CPU)
    assert engine.notes() == []
    engine(x)
    assert engine.notes() == ["cpu: out of memory; goes on in tiles of 16 px, pixels stay the same"]
    net.seen.clear()
    assert torch.equal(engine(x), x[0])
    assert max(net.seen) <= (18, 18)
    assert engine.notes() == []


def test_tiles_that_were_asked_for_become_smaller_too_where_they_do_not_fit():
    x, net = bundle(64, 64, frames=1), Crowded().eval()
    engine = Engine(net, CPU, tile_px=40)
    assert torch.equal(engine(x), x[0])
    assert [shape[0] for shape in net.seen[:3]] == [41, 21, 17]
    assert engine.notes() == ["cpu: out of memory; goes on in tiles of 16 px, pixels stay the same"]


def test_a_device_that_is_too_small_for_anything_is_an_error():
    with pytest.raises(OutOfMemory, match="cpu: out of memory at tiles of 16 px; close other programs"):
        restored(Crowded(limit=10).eval(), bundle(64, 64, frames=1))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")]
)
def test_memory_runs_out_in_several_words(error):
    x = bundle(64, 64, frames=1)
    assert torch.equal(restored(Crowded(error=error).eval(), x), x[0])


def test_an_error_that_is_not_about_memory_is_not_swallowed():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        restored(Crowded(error=RuntimeError("mat1 and mat2 do not fit")).eval(), bundle(64, 64, frames=1))


def test_a_network_that_sees_everything_is_not_tiled():
    net = Crowded(limit=10**6).eval()
    net.local = False
    restored(net, bundle(40, 40, frames=1), tile_px=16)
    assert net.seen == [(40, 40)]


def test_memory_decides_the_tile_where_nobody_else_does(monkeypatch):
    net, x = Crowded(limit=10**6).eval(), bundle(150, 131, frames=1)
    answer = restored(net, x)
    assert net.seen[-1] == (150, 131)
    # Half of it is for tiles; what goes in and what comes out are a float for each pixel.
    monkeypatch.setattr(FULL, lambda device: 2 * 8 * 60 * 60)
    net.seen.clear()
    engine = Engine(net, CPU)
    assert torch.equal(engine(x), answer)
    sides = [side for shape in net.seen[1:] for side in shape]
    assert 50 < max(sides) <= 60
    assert engine.notes() == []
    # It is measured once, not for each frame.
    net.seen.clear()
    engine(x)
    assert (32, 32) not in net.seen


def test_more_memory_gives_larger_tiles_again(monkeypatch):
    net, x = Crowded(limit=10**6).eval(), bundle(150, 131, frames=1)
    engine = Engine(net, CPU)
    with monkeypatch.context() as crowded:
        crowded.setattr(FULL, lambda device: 2 * 8 * 60 * 60)
        engine(x)
        assert len(net.seen) > 2
    net.seen.clear()
    engine(x)
    assert net.seen == [(150, 131)]


@pytest.mark.parametrize("multiple", [3, 24, 64])
def test_the_memory_of_a_network_of_any_grid_is_measured(multiple, monkeypatch):
    net, x = Strided(multiple).eval(), bundle(200, 131, frames=1)
    answer = restored(net, x)
    monkeypatch.setattr(FULL, lambda device: 2 * 16 * 90 * 90)
    assert torch.equal(answer, restored(net, x))


def test_bf16_is_near_fp32_and_the_same_in_tiles(net):
    x = bundle(75, 48)
    exact, fast = (restored(net, x, precision=p) for p in ("fp32", "bf16"))
    assert fast.dtype == torch.float32
    assert 0 < apart(exact, fast) < 0.03
    assert apart(fast, restored(net, x, precision="bf16", tile_px=16)) <= 2**-7
    field = (slice(11, 60), slice(3, 40))
    assert apart(fast[:, *part(field, 4)], restored(net, x, field, precision="bf16", tile_px=32)) <= 2**-7


def test_fp16_is_nearer_to_fp32_than_bf16():
    net, x = trained(frames=1, scale=2, width=4, blocks=1), bundle(9, 11, frames=1)
    exact, half, brain = (restored(net, x, precision=p) for p in ("fp32", "fp16", "bf16"))
    assert half.dtype == torch.float32
    assert 0 < apart(exact, half) < apart(exact, brain)


def test_a_network_that_answers_in_another_shape_is_an_error():
    net = Crowded(limit=10**6).eval()
    net.scale = 2
    with pytest.raises(ShapeError, match="check its declared scale"):
        restored(net, bundle(8, 8, frames=1))

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pssr.networks.edsr import edsr
from pssr.predict import memory
from pssr.predict.memory import BUDGET_BYTES, SHARE, bytes_per_px, free_bytes, largest_side

CPU = torch.device("cpu")
LIMITED = """
import resource
import psutil, torch
from pssr.predict.memory import free_bytes

cpu = torch.device("cpu")
before = free_bytes(cpu)
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, resource.RLIM_INFINITY))
print(before, free_bytes(cpu))
"""


def chain(channels: int, layers: int, *, inplace: bool) -> nn.Sequential:
    """One channel in and out, `layers` convolutions with a non-linearity behind each of them."""
    middle = [
        part
        for _ in range(layers)
        for part in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=inplace))
    ]
    return nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), *middle, nn.Conv2d(channels, 1, 1))


@torch.inference_mode()
def measured(net: nn.Module, frames: int = 1, side: int = 32) -> float:
    return bytes_per_px(net, torch.rand((1, frames, side, side)))


@pytest.mark.parametrize("channels", [8, 32])
@pytest.mark.parametrize("layers", [1, 5])
@pytest.mark.parametrize("inplace", [False, True])
def test_two_layers_are_held_at_once_and_no_more_however_many_there_are(channels, layers, inplace):
    by_hand = 2 * 4 * channels
    assert by_hand <= measured(chain(channels, layers, inplace=inplace)) <= by_hand + 8


def test_what_is_kept_for_later_counts():
    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(1, 8, 1) for _ in range(10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([layer(x) for layer in self.layers], 1)

    # Ten layers, and all of them in one.
    assert measured(Kept()) == pytest.approx(2 * 10 * 8 * 4, rel=0.05)


def test_a_pixel_takes_the_same_whatever_the_size_of_the_probe():
    net = edsr(frames=3, scale=4, size="fast").eval()
    small, large = measured(net, 3, 32), measured(net, 3, 64)
    assert large == pytest.approx(small, rel=0.05)
    # Three layers of 32 channels: that of the head is kept, and each layer makes the next.
    assert 3 * 32 * 4 <= large <= 5 * 32 * 4


def test_half_a_float_is_half_a_float():
    net = chain(32, 2, inplace=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = measured(net)
    assert half < 0.75 * measured(net)


@pytest.mark.skipif(sys.platform == "win32", reason="a process has no such limit there")
def test_the_limit_of_the_process_counts():
    told = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    before, after = map(int, told.stdout.split())
    assert before > 300_000_000
    assert 200_000_000 < after <= 300_000_000


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="this system has no groups of processes")
@pytest.mark.parametrize("names", [("max", "current"), ("limit_in_bytes", "usage_in_bytes")])
def test_the_limit_of_the_job_counts_and_files_that_were_read_do_not(tmp_path, monkeypatch, names):
    free = free_bytes(CPU)
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    (tmp_path / "memory").mkdir()
    # A group of the newer kind, or one of the older kind, which has a folder of its own.
    top = tmp_path if names[0] == "max" else tmp_path / "memory"
    if top != tmp_path and "memory" not in Path("/proc/self/cgroup").read_text():
        pytest.skip("this system has no groups of the older kind")
    most, used = (top / f"memory.{name}" for name in names)
    (top / "memory.stat").write_text("cache 9\ninactive_file 1000000\ntotal_inactive_file 1000000\n")
    used.write_text("30000000\n")
    most.write_text("50000000\n")
    assert free_bytes(CPU) == 21_000_000 < free
    used.write_text("70000000\n")
    assert free_bytes(CPU) == 0
    for unlimited in ("max\n", "damaged\n"):
        most.write_text(unlimited)
        assert free_bytes(CPU) > 50_000_000


@pytest.mark.parametrize("halo", [0, 15, 35])
def test_the_largest_tile_with_its_halo_fits_and_a_larger_one_would_not(halo):
    free, per_px = 10**8, 500.0
    side = largest_side(per_px, halo, free)
    assert (side + 2 * halo) ** 2 * per_px <= SHARE * free < (side + 1 + 2 * halo) ** 2 * per_px


def test_a_halo_larger_than_memory_leaves_no_tile():
    assert largest_side(1000.0, 100, 10**6) < 0


def test_no_tile_takes_more_than_it_gains_from():
    side = largest_side(100.0, 10, 10**15)
    assert (side + 20) ** 2 * 100 <= BUDGET_BYTES < (side + 21) ** 2 * 100

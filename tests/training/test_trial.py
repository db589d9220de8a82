import pytest
import torch
from small_runs import config

from pssr.crappify.chain import crappifier
from pssr.crappify.noise import Gaussian
from pssr.crappify.optics import Bin
from pssr.training.steps import Learner
from pssr.training.trial import (
    LR_FROM,
    LR_STEPS,
    found_lr,
    tried,
)

FRAMES, SIDE = 3, 32


class Tiny(torch.nn.Module):
    """One convolution."""

    halo, multiple, local, scale, frames = 1, 1, True, 2, FRAMES

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(FRAMES, 4, 3, padding=1)

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pixel_shuffle(self.body(low), 2)


class Steep(Tiny):
    """One weight; a step of a hundredth makes everything several times as bright or dark."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Identity()
        self.weight = torch.nn.Parameter(torch.tensor(0.01))

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        middle = low[:, 1:2].repeat_interleave(2, 2).repeat_interleave(2, 3)
        return middle * torch.exp(300 * self.weight)


def learner(net: torch.nn.Module, precision: str = "fp32") -> Learner:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    make_bad = crappifier([Bin(2), Gaussian(sigma=0.05)], 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    return Learner(net, optimizer, make_bad, dict(config().loss), 0.5, dtype)


def bundles(count: int, seed: int = 0) -> list[torch.Tensor]:
    return [torch.rand((count, FRAMES, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))]


def draw(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_the_search_ends_when_the_loss_explodes():
    asked = []

    def batch(k: int) -> list[torch.Tensor]:
        asked.append(k)
        return bundles(4, k)

    rate = found_lr(learner(Steep()), batch, draw)
    assert len(asked) < LR_STEPS - 5
    assert LR_FROM / 3 < rate < 5e-3


@pytest.mark.parametrize("count", [4, 8])
def test_the_memory_of_a_bundle_is_what_the_way_back_needs(count: int):
    """A convolution keeps what went in: two bad copies of three frames in four bytes a pixel."""
    found = tried(lambda name: learner(Tiny(), name), bundles(count), draw, "fp32")
    assert found.per_bundle == pytest.approx(2 * FRAMES * (SIDE // 2) ** 2 * 4, rel=0.01)
    assert found.weights == 5 * 4 * (FRAMES * 4 * 9 + 4)
    assert 0 < found.bundle_s < 1

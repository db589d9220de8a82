import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import config

from pssr.crappify.chain import crappifier
from pssr.crappify.noise import Gaussian
from pssr.crappify.optics import Bin
from pssr.training.steps import Learner
from pssr.training.trial import (
    BATCHES,
    LR_FROM,
    LR_STEPS,
    LR_TO,
    MEMORY_SHARE,
    batch_that_fits,
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


@given(
    per_bundle=st.floats(1, 1e12), fixed=st.floats(0, 1e12), free=st.floats(0, 1e13)
)  # fmt: skip
def test_the_batch_is_the_largest_that_leaves_a_fifth_of_the_memory(per_bundle, fixed, free):
    batch = batch_that_fits(per_bundle, fixed, free)
    assert batch in BATCHES
    assert batch == 1 or batch * per_bundle + fixed < MEMORY_SHARE * free
    assert batch == max(BATCHES) or 2 * batch * per_bundle + fixed >= MEMORY_SHARE * free


def test_the_rate_found_is_one_that_learns():
    torch.manual_seed(0)
    rate = found_lr(learner(Tiny()), lambda k: bundles(4, k), draw)
    assert 3e-4 <= rate <= LR_TO / 3
    assert rate == float(f"{rate:.1e}")


def test_the_search_ends_when_the_loss_explodes():
    asked = []

    def batch(k: int) -> list[torch.Tensor]:
        asked.append(k)
        return bundles(4, k)

    rate = found_lr(learner(Steep()), batch, draw)
    assert len(asked) < LR_STEPS - 5
    assert LR_FROM / 3 < rate < 5e-3


def test_the_precision_asked_for_is_the_only_one_measured():
    built = []

    def make(name: str) -> Learner:
        built.append(name)
        return learner(Tiny(), name)

    assert tried(make, bundles(4), draw, "bf16").precision == "bf16"
    assert set(built) == {"bf16"}
    built.clear()
    assert tried(make, bundles(4), draw, "auto").precision in ("fp32", "bf16")
    assert set(built) == {"fp32", "bf16"}


@pytest.mark.parametrize("count", [4, 8])
def test_the_memory_of_a_bundle_is_what_the_way_back_needs(count: int):
    """A convolution keeps what went in: two bad copies of three frames in four bytes a pixel."""
    found = tried(lambda name: learner(Tiny(), name), bundles(count), draw, "fp32")
    assert found.per_bundle == pytest.approx(2 * FRAMES * (SIDE // 2) ** 2 * 4, rel=0.01)
    assert found.weights == 5 * 4 * (FRAMES * 4 * 9 + 4)
    assert 0 < found.bundle_s < 1

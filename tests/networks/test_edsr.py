import pytest
import torch

from pssr.errors import ConfigError
from pssr.networks import NETWORKS, network
from pssr.networks.edsr import SIZES, edsr
from pssr.parts import Part

PARAMETERS = {"fast": 126e3, "small": 362e3, "quality": 1.23e6}  # as counted by hand for 3 frames at scale 4


class Blind(torch.nn.Module):
    """A network that declares nothing."""

    def __init__(self, *, frames: int, scale: int) -> None:
        super().__init__()


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("frames", [1, 3, 5])
def test_the_answer_is_one_frame_larger_by_the_scale(scale: int, frames: int):
    net = edsr(frames=frames, scale=scale, width=8, blocks=1)
    assert net(torch.rand(2, frames, 9, 13)).shape == (2, 1, 9 * scale, 13 * scale)


@pytest.mark.parametrize("size", SIZES)
def test_the_sizes_have_the_weights_they_are_known_by(size: str):
    count = sum(p.numel() for p in edsr(frames=3, scale=4, size=size).parameters())
    assert count == pytest.approx(PARAMETERS[size], rel=0.005)


@pytest.mark.parametrize("size", SIZES)
def test_a_pixel_sees_as_far_as_the_halo_and_no_further(size: str):
    torch.manual_seed(0)
    net = edsr(frames=3, scale=2, size=size).double()
    side = 2 * net.halo + 9
    x = torch.rand(1, 3, side, side, dtype=torch.double, requires_grad=True)
    middle = side // 2
    net(x)[0, 0, 2 * middle : 2 * middle + 2, 2 * middle : 2 * middle + 2].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    rows = torch.nonzero(seen.any(1)).flatten()
    assert (middle - int(rows[0]), int(rows[-1]) - middle) == (net.halo, net.halo)


def test_it_starts_without_a_checkerboard():
    torch.manual_seed(0)
    net = edsr(frames=1, scale=4, size="fast")
    detail = torch.nn.functional.pixel_shuffle(net.tail(torch.rand(1, 32, 6, 6)), 4).detach()
    blocks = detail.reshape(6, 4, 6, 4)
    assert float(blocks.std((1, 3)).max()) < 1e-6


def test_a_wrong_size_or_scale_is_refused():
    with pytest.raises(ConfigError, match="no size 'huge'; choose from fast, small, quality"):
        edsr(frames=3, scale=4, size="huge")
    with pytest.raises(ConfigError, match="scale: 5 is not supported"):
        edsr(frames=3, scale=5)


def test_a_network_of_ones_own_must_declare_what_it_is(monkeypatch):
    monkeypatch.setitem(NETWORKS, "blind", Blind)
    with pytest.raises(
        ConfigError, match="blind: the network does not declare scale, frames, halo, multiple, local"
    ):
        network(Part("blind"), frames=3, scale=4)

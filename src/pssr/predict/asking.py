"""Ways to ask networks for an answer: once, turned and mirrored, together, and with the noise drawn anew."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import lcm

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pssr.networks import Generator

TURNS = tuple((quarter, mirrored) for mirrored in (False, True) for quarter in range(4))


@dataclass(frozen=True)
class Asking:
    """How often the network is asked for each frame.

    Args:
        turns: whether the eight flips and turns of a frame are restored, and averaged.
        spread: whether it is told how far the answers lie apart.
        draws: times that the noise is drawn anew for the spread.
    """

    turns: bool = False
    spread: bool = False
    draws: int = 4

    @property
    def copies(self) -> int:
        """Of each plane: itself, and those with more noise."""
        return 1 + self.draws if self.spread else 1

    @property
    def planes(self) -> int:
        """In the answer: the restored one, then the spread over turns and the one over noise."""
        return 3 if self.spread else 1


def ask(
    net: Callable[[Tensor], Tensor], x: Float[Tensor, "copies f h w"], asking: Asking
) -> Float[Tensor, "planes high_h high_w"]:
    """The answer to a bundle, and how far answers lie apart where that is asked for.

    Args:
        net: (N, F, h, w) to (N, 1, s h, s w).
        x: the bundle, and copies of it with more noise.
        asking: how often.

    Returns:
        The restored frame; with `spread` also the standard deviation of the answers to the eight flips and turns, and that of
        the answers to the copies with noise, each on the 0..1 scale.
    """
    first = net(x[:1])
    if not (asking.turns or asking.spread):
        return first[0].float()
    mean, over_turns = _moments(first, [turned_answer(net, x[:1], *turn) for turn in TURNS[1:]])
    restored = mean if asking.turns else first.float()
    if not asking.spread:
        return restored[0]
    _, over_noise = _moments(net(x[1:2]), (net(x[k : k + 1]) for k in range(2, len(x))))
    return torch.cat((restored[0], over_turns[0], over_noise[0]))


def turned_answer(net: Callable[[Tensor], Tensor], x: Tensor, quarter: int, mirrored: bool) -> Tensor:
    """The answer to a turned and mirrored input, turned back.

    Args:
        net: (N, F, h, w) to (N, 1, s h, s w).
        x: (N, F, h, w).
        quarter: turns by 90 degrees.
        mirrored: whether it is mirrored before it is turned.
    """
    seen = torch.rot90(x.flip(-1) if mirrored else x, quarter, (-2, -1))
    answer = torch.rot90(net(seen.contiguous(memory_format=torch.channels_last)), -quarter, (-2, -1))
    return answer.flip(-1) if mirrored else answer


def _moments(first: Tensor, others: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n - 1) of answers, of which two are held at a time."""
    first = first.float()
    total, squares, count = torch.zeros_like(first), torch.zeros_like(first), 1
    for other in others:
        # About the first one: the square of a difference of large numbers would be noise.
        apart = other.float() - first
        total += apart
        squares.addcmul_(apart, apart)
        count += 1
    variance = (squares - total * total / count) / max(count - 1, 1)
    return first + total / count, variance.clamp_(min=0).sqrt_()


class Together(nn.Module):
    """Several networks as one: the mean of their answers, on the scale of the first.

    Args:
        nets: of the same scale and number of frames.
        scales: (gain, shift) from the first one's 0..1 to that of each, which were trained on other brightness.
    """

    def __init__(self, nets: Sequence[Generator], scales: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(net for net in nets if isinstance(net, nn.Module))
        self.scales = tuple(scales)
        self.scale, self.frames = nets[0].scale, nets[0].frames
        self.halo = max(net.halo for net in nets)
        self.multiple = reduce(lcm, (net.multiple for net in nets))
        self.local = all(net.local for net in nets)

    def forward(self, x: Float[Tensor, "n f h w"]) -> Float[Tensor, "n 1 high_h high_w"]:
        """The mean answer."""
        total: Tensor | None = None
        for net, (gain, shift) in zip(self.nets, self.scales, strict=True):
            answer = (net(x * gain + shift).float() - shift) / gain
            total = answer if total is None else total.add_(answer)
        assert total is not None
        return total / len(self.nets)

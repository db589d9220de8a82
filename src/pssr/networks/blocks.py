"""Pieces that several networks share."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a ReLU, added to the input; no normalisation.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Same shape as the input."""
        out: Tensor = x + self.second(torch.relu(self.first(x)))
        return out


def start_as_one_pixel(conv: nn.Conv2d, scale: int) -> None:
    """Start the s*s outputs of a pixel shuffle equal, so that training starts without a checkerboard (ICNR).

    Args:
        conv: the convolution before the shuffle, scale**2 outputs.
        scale: of the shuffle.

    Source: Aitken et al. 2017, arXiv 1707.02937.
    """
    with torch.no_grad():
        conv.weight.copy_(conv.weight[:: scale**2].repeat_interleave(scale**2, 0))
        if conv.bias is not None:
            conv.bias.zero_()

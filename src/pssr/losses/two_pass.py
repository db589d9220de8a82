"""What every loss term sees: both restored frames and the truth."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TwoPass:
    """The network's answers to two bad copies of the same bundle, and the good middle frame.

    Args:
        first: M(X1), (N, 1, H, W) on the 0..1 scale.
        second: M(X2), likewise.
        target: T, likewise.
    """

    first: Float[Tensor, "n 1 h w"]
    second: Float[Tensor, "n 1 h w"]
    target: Float[Tensor, "n 1 h w"]

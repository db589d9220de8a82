"""The term that stops movies from flickering."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.losses.two_pass import TwoPass


def stability(p: TwoPass) -> Float[Tensor, ""]:
    """L1(M(X1), M(X2)), a mean over pixels; the gradient flows through both answers.

    It is 0 for a network that ignores noise. It adds no information: it trades bias for variance,
    so watch the high-frequency energy when its weight grows (docs/concepts/stability.md).
    """
    return functional.l1_loss(p.first, p.second)

"""Fidelity terms: how far both answers are from the truth."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.losses.two_pass import TwoPass


def l1(p: TwoPass) -> Float[Tensor, ""]:
    """L1(M(X1), T) + L1(M(X2), T), each a mean over pixels."""
    return functional.l1_loss(p.first, p.target) + functional.l1_loss(p.second, p.target)


def mse(p: TwoPass) -> Float[Tensor, ""]:
    """The squared twin of `l1`."""
    return functional.mse_loss(p.first, p.target) + functional.mse_loss(p.second, p.target)

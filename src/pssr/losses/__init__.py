"""A loss is a weighted sum of named terms; a term is any function of `TwoPass`."""

from collections.abc import Callable, Mapping

from torch import Tensor

from pssr.losses.pixel import l1, mse
from pssr.losses.stability import stability
from pssr.losses.two_pass import TwoPass
from pssr.parts import find

__all__ = ["TERMS", "Term", "TwoPass", "total"]

Term = Callable[[TwoPass], Tensor]
TERMS: dict[str, Term] = {"l1": l1, "mse": mse, "stability": stability}


def total(p: TwoPass, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and every term by name before weighting.

    Args:
        p: the two answers and the truth.
        weights: by name of the term, or by `module:function` of your own.

    Returns:
        The loss to go down, and its terms for the log.

    Raises:
        ConfigError: no such term.
    """
    terms = {name: find(name, TERMS)(p) for name in weights}
    return sum((weights[name] * term for name, term in terms.items()), start=p.target.new_zeros(())), terms

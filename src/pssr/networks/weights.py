"""Weights from a file, compared with those of a network before they are used."""

from collections.abc import Mapping

import torch
from torch import Tensor


def misfit(weights: object, own: Mapping[str, Tensor]) -> str:
    """In what weights differ from those of a network, in words; empty where they are just those.

    Args:
        weights: by name, as read from a file: dense and finite where all is well.
        own: the network's, on any device.
    """
    given = weights if isinstance(weights, dict) else {}
    for name in sorted(own.keys() | given.keys(), key=str):
        if name not in given:
            return f"the file has no '{name}'"
        if name not in own:
            return f"the network has no '{name}'"
        wrong = _differs(given[name], own[name])
        if wrong:
            return f"'{name}' {wrong}"
    return ""


def _differs(there: object, here: Tensor) -> str:
    # A sparse tensor can name memory that is not its own.
    if not isinstance(there, Tensor) or there.layout != torch.strided:
        return "is no plain tensor"
    if there.shape != here.shape:
        return f"is {tuple(there.shape)}, the network's {tuple(here.shape)}"
    if there.dtype != here.dtype:
        return f"is {_name(there.dtype)}, the network's {_name(here.dtype)}"
    return "" if bool(torch.isfinite(there).all()) else "has values that are not numbers"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""The schedule and the averaged weights."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

WARM_UP = 0.08  # share of the training in which the learning rate rises
START, END = 1 / 25, 1 / 1000  # of the highest rate


def one_cycle(progress: float, peak: float) -> float:
    """The learning rate at a share of the training: up from peak / 25 in a cosine, then down to peak / 1000.

    Args:
        progress: 0..1, by steps or by time.
        peak: the highest rate.

    Source: Smith & Topin 2018, arXiv 1708.07120, with cosine ramps.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < WARM_UP:
        return peak * (START + (1 - START) * _ramp(progress / WARM_UP))
    return peak * (1 - (1 - END) * _ramp((progress - WARM_UP) / (1 - WARM_UP)))


def _ramp(share: float) -> float:
    """0 to 1 along half a cosine."""
    return (1 - math.cos(math.pi * share)) / 2


@torch.no_grad()
def average(kept: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, step: int, memory: float) -> None:
    """Move the averaged weights a little towards the present ones, in place.

    Args:
        kept: the averages.
        weights: the network's, same names.
        step: from 1; early averages forget faster, so that the start is not remembered.
        memory: share kept at each step, late in training.
    """
    share = 1 - min(memory, (1 + step) / (10 + step))
    for name, w in weights.items():
        if w.is_floating_point():
            kept[name].lerp_(w, share)
        else:
            kept[name].copy_(w)

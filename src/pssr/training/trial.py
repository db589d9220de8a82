"""Short measurements before a training: which precision is fast, how long a step takes, how much memory it needs."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pssr.errors import OutOfMemory
from pssr.predict.device import memory_is_full
from pssr.training.steps import GROUP, Learned, Learner, learn, made_bad, two_pass

FASTER = 0.8  # of the seconds in float32: what another precision must reach to be worth its rounding
LR_FROM, LR_TO, LR_STEPS = 1e-5, 1e-1, 60
BATCHES = (64, 32, 16, 8, 4, 2, 1)
MEMORY_SHARE = 0.8  # of what is free, for a batch chosen from memory
OPTIMIZER_COPIES = 5  # of the weights in float32: themselves, gradient, two moments, average

Make = Callable[[str], Learner]  # a new learner in the precision named
Draw = Callable[[int], torch.Generator]


@dataclass(frozen=True)
class Trial:
    """What a step costs.

    Args:
        precision: the fastest, or the one asked for.
        bundle_s: seconds that each bundle adds to a step.
        per_bundle: bytes that each bundle keeps from the way forth to the way back.
        weights: bytes of weights, gradients, optimizer and average.
    """

    precision: str
    bundle_s: float
    per_bundle: float
    weights: int


def tried(make: Make, good: Sequence[Tensor], draw: Draw, asked: str) -> Trial:
    """Measure a few steps on some bundles.

    Args:
        make: builds a learner that nothing else uses.
        good: bundles (N, F, H, W), and their real partners, on the device.
        draw: generators, by number.
        asked: the precision; `auto` tries those that the device may be fast in.

    Raises:
        OutOfMemory: with one bundle.
    """
    while True:
        try:
            return _tried(make, good, draw, asked)
        except (RuntimeError, MemoryError) as error:
            if not memory_is_full(error):
                raise
            if len(good[0]) == 1:
                raise OutOfMemory(
                    f"{good[0].device}: out of memory with one patch of {good[0].shape[-1]} px; use a smaller data.patch_px or "
                    "network"
                ) from error
            good = [part[: len(part) // 2] for part in good]


def _tried(make: Make, good: Sequence[Tensor], draw: Draw, asked: str) -> Trial:
    others = ["bf16", "fp16"] if good[0].device.type == "cuda" else ["bf16"]
    names = ["fp32", *others] if asked == "auto" else [asked]
    seconds = {name: _step_seconds(make(name), good, draw) for name in names}
    best = min(names, key=lambda name: seconds[name] / (1.0 if name == "fp32" else FASTER))
    per_bundle, weights = _memory(make(best), good, draw)
    return Trial(best, seconds[best] / len(good[0]), per_bundle, weights)


def batch_that_fits(per_bundle: float, fixed: float, free: float) -> int:
    """The largest batch, 64 at most, that leaves a fifth of the memory free.

    Args:
        per_bundle: bytes that each bundle of the batch takes.
        fixed: bytes of weights and optimizer.
        free: bytes.
    """
    return next((b for b in BATCHES if b * per_bundle + fixed < MEMORY_SHARE * free), 1)


def found_lr(learner: Learner, batches: Callable[[int], Sequence[Tensor]], draw: Draw) -> float:
    """A highest learning rate: a third of that at which the loss, smoothed, was lowest while the rate rose.

    Args:
        learner: that nothing else uses.
        batches: bundles of a step, and their partners, by number of the step.
        draw: generators, by number.

    Returns:
        The rate, to two digits.

    Source: the range test of Smith 2015, arXiv 1506.01186.
    """
    rates = np.geomspace(LR_FROM, LR_TO, LR_STEPS)
    mean, best, chosen = math.nan, math.inf, rates[0]
    for k, rate in enumerate(rates):
        done = _learned(learner, batches(k), draw, k, float(rate))
        if done.skipped or done.loss > 4 * best:
            break
        mean = done.loss if math.isnan(mean) else 0.8 * mean + 0.2 * done.loss
        if mean < best:
            best, chosen = mean, rate
    return float(f"{chosen / 3:.1e}")


def _learned(learner: Learner, parts: Sequence[Tensor], draw: Draw, step: int, lr: float) -> Learned:
    """A whole step on bundles, and their partners where there are any."""
    good, *real = parts
    return learn(
        learner,
        good,
        lambda group: draw(step * max(BATCHES) + group),
        lr,
        batch=len(good),
        real=real[0] if real else None,
    )


def _step_seconds(learner: Learner, good: Sequence[Tensor], draw: Draw) -> float:
    """The faster of two steps, after one that warms up."""
    times = []
    for k in range(3):
        start = time.perf_counter()
        _learned(learner, good, draw, k, 1e-5)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _memory(learner: Learner, good: Sequence[Tensor], draw: Draw) -> tuple[float, int]:
    """Bytes that a forward keeps for the way back, of each bundle, and bytes of weights and optimizer."""
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in learner.net.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    some = slice(0, GROUP)
    bad = made_bad(learner, good[0][some], draw(0), good[1][some] if len(good) > 1 else None)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        two_pass(learner, bad)
    weights = sum(p.numel() * p.element_size() for p in learner.net.parameters())
    return sum(kept.values()) / len(good[0][some]), OPTIMIZER_COPIES * weights

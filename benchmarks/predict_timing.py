"""What does everything around a network cost? The part that all drivers share; it runs in the peers' environments too."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


@contextmanager
def watched(net: nn.Module) -> Iterator[Counter[Shape]]:
    """Which shapes does a program give its network, and how often each?"""
    shapes: Counter[Shape] = Counter()

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        shapes[tuple(given[0].shape)] += 1

    hook = net.register_forward_pre_hook(note)
    try:
        yield shapes
    finally:
        hook.remove()


def seconds(work: Callable[[], object]) -> float:
    """How long does it take, on the wall clock?"""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.inference_mode()
def bare(net: nn.Module, shapes: Counter[Shape]) -> None:
    """What would the network alone need for inputs of these shapes?"""
    net.eval()
    for shape, times in shapes.items():
        given = torch.rand(shape)
        for _ in range(times):
            net(given)


def rounds(
    net: nn.Module, predict: Callable[[str], object], whole: Counter[Shape], runs: int
) -> list[dict[str, float]]:
    """How long do a short and a long prediction take, and the network alone for what lies between them?

    Args:
        net: that the program predicts with.
        predict: the prediction of the stack of that name, `short` or `long`.
        whole: shapes of the whole frames of the long stack.
        runs: rounds in which all take turns.

    Returns:
        For each round the seconds of `short`, of `long`, of the bare network on the same `tiles` and on `whole` frames.
    """
    with watched(net) as first:
        predict("short")
    taken: list[dict[str, float]] = []
    for _ in range(runs):
        one = {"short": seconds(partial(predict, "short")), "whole": seconds(partial(bare, net, whole))}
        with watched(net) as given:
            one["long"] = seconds(partial(predict, "long"))
        one["tiles"] = seconds(partial(bare, net, given - first))
        taken.append(one)
    return taken

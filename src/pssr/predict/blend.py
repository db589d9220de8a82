"""Tiles for networks that see the whole frame: no halo makes these exact, so they overlap and fade into each other."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.predict.tiles import Box


def overlapping(length: int, side: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """Spans of equal length along one axis, each overlapping the next by `overlap`, or by half where that is less.

    Args:
        length: of the axis, a multiple of `multiple`.
        side: of a span.
        overlap: pixels shared with the next one.
        multiple: what the first pixels are multiples of.
    """
    side = max(side // multiple, 1) * multiple
    if side >= length:
        return [(0, length)]
    step = max((side - min(overlap, side // 2)) // multiple, 1) * multiple
    starts = [*range(0, length - side, step), (length - side) // multiple * multiple]
    return [(start, min(start + side, length)) for start in dict.fromkeys(starts)]


def ramp(length: int, overlap: int, *, fades_in: bool, fades_out: bool) -> Float[Tensor, "length"]:
    """Weights of the pixels of a tile along one axis: 1 inside, falling towards a neighbour.

    Args:
        length: restored pixels.
        overlap: restored pixels over which it falls.
        fades_in: whether there is a neighbour before it.
        fades_out: whether there is one behind it.
    """
    at = torch.arange(length, dtype=torch.float32) + 0.5
    weights = torch.ones(length)
    for fades, distance in ((fades_in, at), (fades_out, length - at)):
        if fades:
            # Smooth at both ends; the weights of two neighbours add up to 1 after division by their sum.
            share = (distance / max(overlap, 1)).clamp(max=1)
            weights = weights * (0.5 - 0.5 * torch.cos(torch.pi * share))
    return weights.clamp_(min=1e-4)


class Blend:
    """Answers of overlapping tiles, added up with their weights.

    Args:
        planes: in an answer.
        shape: (Y, X) of the restored frame.
        device: where it is added up.
    """

    def __init__(self, planes: int, shape: tuple[int, int], device: torch.device) -> None:
        self._sum = torch.zeros((planes, *shape), device=device)
        self._weights = torch.zeros(shape, device=device)

    def add(self, answer: Float[Tensor, "planes h w"], at: Box, overlap: int) -> None:
        """Put the answer of one tile to its place.

        Args:
            answer: of the tile.
            at: rows and columns of the restored frame.
            overlap: restored pixels over which it fades.
        """
        sides = zip(at, self._weights.shape, strict=True)
        rows, columns = (
            ramp(part.stop - part.start, overlap, fades_in=part.start > 0, fades_out=part.stop < length)
            for part, length in sides
        )
        weights = torch.outer(rows, columns).to(answer.device)
        self._sum[:, *at] += answer * weights
        self._weights[at] += weights

    def result(self) -> Float[Tensor, "planes y x"]:
        """The blended frame."""
        return self._sum.div_(self._weights)


def overlapping_boxes(shape: tuple[int, int], side: int, overlap: int, multiple: int) -> list[Box]:
    """Tiles of a low-resolution frame that overlap."""
    spans = (overlapping(length, side, overlap, multiple) for length in shape)
    return [(slice(*rows), slice(*columns)) for rows, columns in itertools.product(*spans)]

"""Planes that live on a GPU: patches are cut there, and only their places are sent."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from pssr.data.cache import PlaneCache
from pssr.data.patches import Square

SHARE = 0.4  # of the free memory of a GPU; a training needs the rest
NO_SIGN = 0xFFFF


@dataclass(frozen=True)
class Resident:
    """All planes of a training, on a device.

    Args:
        planes: by movie and frame; counts of 16 bits without a sign as those with one, which every kernel knows.
        unsigned: movies whose counts are so.
        device: where they are.
    """

    planes: Mapping[tuple[int, int], Shaped[Tensor, "y x"]]
    unsigned: frozenset[int]
    device: torch.device

    @classmethod
    def of(cls, cache: PlaneCache, device: torch.device) -> "Resident":
        """Read all planes, and send them there.

        Args:
            cache: of the movies.
            device: with room for them.
        """
        planes, unsigned = {}, set()
        for movie, stack in enumerate(cache.movies):
            for t in range(len(stack)):
                plane = cache.plane(movie, t)
                if _without_sign(plane):
                    unsigned.add(movie)
                planes[movie, t] = torch.from_numpy(_stored(plane)).to(device)
        return cls(planes, frozenset(unsigned), device)

    def cut(self, square: Square) -> Float[Tensor, "f p p"]:
        """A patch, the same that is cut from the cache.

        Args:
            square: where.
        """
        if square.movie is None:
            side = square.side
            return torch.full((len(square.bundle), side, side), torch.nan, device=self.device)
        rows = slice(square.top, square.top + square.side)
        columns = slice(square.left, square.left + square.side)
        counts = torch.stack([self.planes[square.movie, t][rows, columns] for t in square.bundle])
        if square.movie in self.unsigned:
            counts = counts.to(torch.int32) & NO_SIGN
        flipped = counts.flip(1) if square.turn >= 4 else counts
        turned = torch.rot90(flipped, square.turn % 4, (1, 2)).to(torch.float32).contiguous()
        low, high = np.float32(square.scale.low), np.float32(square.scale.high - square.scale.low)
        return (turned - float(low)) / float(high)


def resident(cache: PlaneCache, device: torch.device) -> Resident | None:
    """All planes on a GPU that has room for them; None where there is none.

    Args:
        cache: of the movies.
        device: where the training is.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return Resident.of(cache, device) if bytes_of(cache) < SHARE * free else None


def bytes_of(cache: PlaneCache) -> int:
    """That all planes would take on a device."""
    firsts = (_stored(cache.plane(movie, 0)) for movie in range(len(cache.movies)))
    return sum(len(stack) * first.nbytes for stack, first in zip(cache.movies, firsts, strict=True))


def _stored(plane: np.ndarray) -> np.ndarray:
    """As small as it is without a loss to float32, in which patches are."""
    if _without_sign(plane):
        return np.ascontiguousarray(plane).astype(np.uint16).view(np.int16)
    kept = plane.dtype.itemsize <= 2 and plane.dtype.kind in "ui"
    return np.ascontiguousarray(plane.astype(plane.dtype.newbyteorder("=") if kept else np.float32))


def _without_sign(plane: np.ndarray) -> bool:
    return plane.dtype.kind == "u" and plane.dtype.itemsize == 2

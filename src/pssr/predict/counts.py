"""From counts to the network's 0..1 and back, on the device where that is faster."""

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from pssr.data.intensity import Intensity

SHORT = ("uint8", "int8", "uint16", "int16")  # whose numbers are numbers of float32 too


def lifted(plane: Num[np.ndarray, "y x"], scale: Intensity, device: torch.device) -> Tensor:
    """A plane on its way to a device, made ready in the thread that reads.

    A GPU gets the counts themselves, half as many bytes, from memory that it can fetch by itself.

    Args:
        plane: counts.
        scale: of the whole movie.
        device: where it goes.

    Returns:
        (Y, X): counts in pinned memory for `arrived`, or float32 on the 0..1 scale.
    """
    if device.type == "cuda" and plane.dtype.name in SHORT:
        return torch.from_numpy(np.array(plane)).pin_memory()
    unit = torch.from_numpy(scale.to_unit(plane))
    return unit.pin_memory() if device.type == "cuda" else unit


def arrived(plane: Tensor, scale: Intensity, device: torch.device) -> Float[Tensor, "*copies y x"]:
    """A lifted plane on the device, float32 on the 0..1 scale."""
    there = plane.to(device, non_blocking=True)
    if device.type == "cuda" and plane.dtype != torch.float32:
        # The same steps as on the CPU.
        low, high = np.float32(scale.low), np.float32(scale.high - scale.low)
        return there.float().sub_(float(low)).div_(float(high))
    return there


def counted(unit: Float[Tensor, "y x"], scale: Intensity, dtype: np.dtype) -> Tensor | np.ndarray:
    """Counts of the dtype asked for: integers are rounded, and saturate instead of wrapping.

    Args:
        unit: on the 0..1 scale, on any device.
        scale: of the whole movie.
        dtype: of the counts.

    Returns:
        A tensor where the device can do it, else an array.
    """
    if dtype.name not in (*SHORT, "float32"):
        return scale.from_unit(unit.cpu().numpy(), dtype)
    low = torch.tensor(scale.low, dtype=torch.float32, device=unit.device)
    counts = torch.add(low, unit, alpha=float(scale.high - scale.low))
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        counts = counts.round_().clamp_(int(limits.min), int(limits.max))
    return counts.to(getattr(torch, dtype.name))


class Landing:
    """Counts on their way back; whoever needs them waits for them.

    Args:
        counts: on any device.
    """

    def __init__(self, counts: Tensor | np.ndarray) -> None:
        self._counts = counts
        self._here: torch.cuda.Event | None = None
        if isinstance(counts, Tensor) and counts.device.type == "cuda":
            self._counts = torch.empty(counts.shape, dtype=counts.dtype, pin_memory=True)
            self._counts.copy_(counts, non_blocking=True)
            self._here = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._here.record(torch.cuda.current_stream(counts.device))

    def array(self) -> np.ndarray:
        """The counts, once they are here."""
        if self._here is not None:
            self._here.synchronize()
        counts = self._counts
        return counts.cpu().numpy() if isinstance(counts, Tensor) else counts

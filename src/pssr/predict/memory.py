"""How much memory there is, how much a network takes, and so how large a tile may be."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# The address space of a process has a limit where there is a POSIX system only.
if sys.platform != "win32":
    import resource

BUDGET_BYTES = 1024**3  # for the activations of one tile: beyond it the halo costs less than 5 %
SHARE = 0.5  # of what is free: the convolutions reorder their input, and others want memory too
PROBE_PX = 32
GROUPS = Path("/sys/fs/cgroup")  # of processes: a scheduler puts each job into one of its own


def free_bytes(device: torch.device) -> int:
    """Memory that this process can still get on a device: of the machine, the job's group, and the process's own limit."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    left = [psutil.virtual_memory().available, *_left_in_groups()]
    if sys.platform != "win32":
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            left.append(max(limit - psutil.Process().memory_info().vms, 0))
    return min(left)


def _left_in_groups() -> list[int]:
    """What the groups that this process is in may still take; none where there are no such limits."""
    try:
        named = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    folders = []
    for _, kinds, name in named:
        top = GROUPS / "memory" if "memory" in kinds.split(",") else GROUPS
        own = top / name.strip("/")
        folders += [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return [left for folder in folders if (left := _left_of(folder)) is not None]


def _left_of(group: Path) -> int | None:
    """What one group may still take: files that it has merely read make room when it is wanted."""
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        try:
            most = int((group / limit).read_text())
            taken = int((group / used).read_text())
            kept = re.search(
                r"^(?:total_)?inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE
            )
            return max(most - taken + (int(kept[1]) if kept else 0), 0)
        except (OSError, ValueError):
            # There is no such file, or it says `max`.
            continue
    return None


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that are alive after each operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._living: dict[StorageWeakRef, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else torch imports its compiler for the first operation, which takes two seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self._living[StorageWeakRef(storage)] = storage.nbytes()
        self._living = {ref: size for ref, size in self._living.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._living.values()))
        return out


def bytes_per_px(ask: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Bytes that are held at once while a small input goes through a network, for each of its pixels.

    Args:
        ask: the network.
        x: (N, F, h, w), an input.
    """
    with _Living() as living:
        ask(x)
    return float(living.peak / (x.shape[-2] * x.shape[-1]))


def largest_side(per_px: float, halo: int, free: int) -> int:
    """The side of the largest tile that memory allows, without its halo.

    Args:
        per_px: bytes for each pixel of a tile.
        halo: pixels read on each side of it.
        free: bytes.
    """
    budget = min(BUDGET_BYTES, SHARE * free)
    return int((budget / max(per_px, 1.0)) ** 0.5) - 2 * halo

"""One training in several processes, started by `torchrun`: each takes its share of every batch."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from pssr.errors import ConfigError, PssrError, TrainingError
from pssr.predict.device import choose_device
from pssr.training.meeting import fresh

PATIENCE = timedelta(
    minutes=10
)  # that a process waits for the others, for example while the first one validates
T = TypeVar("T")
NAMED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """The processes of one training.

    Args:
        rank: of this one, from 0; only the first one writes.
        size: how many there are.
        local_rank: of this one among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, groups: int) -> range:
        """The groups of a batch that are this process's own: as many as the others' or one more or less."""
        edges = np.linspace(0, groups, self.size + 1).round().astype(int)
        return range(int(edges[self.rank]), int(edges[self.rank + 1]))

    def summed(self, parameters: Iterable[nn.Parameter], numbers: Tensor) -> Tensor:
        """Add up the gradients of all processes, in place, and some numbers.

        Raises:
            TrainingError: another process is gone; no weight has changed.
        """
        if self.size == 1:
            return numbers
        trained = [p for p in parameters if p.requires_grad]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        sizes = [g.numel() for g in grads]
        flat = torch.cat([*(g.reshape(-1) for g in grads), numbers.float()])
        with self._together():
            torch.distributed.all_reduce(flat)
        for p, g in zip(trained, torch.split(flat[: sum(sizes)], sizes), strict=True):
            # Laid out as its weights: the optimizer takes both as they lie in memory.
            p.grad = torch.empty_like(p).copy_(g.view_as(p))
        return flat[sum(sizes) :]

    def agreed(self, elapsed_s: float, stop: bool, device: torch.device) -> tuple[float, bool]:
        """The clock of the first process, and whether any of them was asked to stop: the same in all."""
        if self.size == 1:
            return elapsed_s, stop
        found = torch.tensor(
            [elapsed_s if self.first else 0.0, float(stop)], device=device, dtype=torch.float64
        )
        with self._together():
            torch.distributed.all_reduce(found)
        return float(found[0]), bool(found[1] > 0)

    def device(self, name: str) -> torch.device:
        """The device of this process: of several GPUs its own.

        Raises:
            ConfigError: no such device here, or more processes than GPUs.
        """
        device = choose_device(name)
        if self.size == 1 or device.type != "cuda":
            return device
        if name not in ("auto", "cuda"):
            raise ConfigError(f"device: {name} is one GPU for {self.size} processes; use cuda or auto")
        if self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"device: process {self.local_rank} of this machine has no GPU of its {torch.cuda.device_count()}; start fewer"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def told(self, find: Callable[[], T]) -> T:
        """What the first process finds, in all of them; what it finds wrong, they raise as well.

        Raises:
            TrainingError: another process is gone.
        """
        if self.size == 1:
            return find()
        found: list[object] = [None, None]
        if self.first:
            try:
                found[0] = find()
            except PssrError as error:
                found[1] = error
        with self._together():
            torch.distributed.broadcast_object_list(found)
        if isinstance(found[1], PssrError):
            raise found[1]
        return cast(T, found[0])

    def wait(self) -> None:
        """Until all processes are here.

        Raises:
            TrainingError: another process is gone.
        """
        if self.size > 1:
            with self._together():
                torch.distributed.barrier()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """What all processes do at the same time."""
        try:
            yield
        except RuntimeError as error:
            raise TrainingError(
                f"process {self.rank}: another process of the training is gone, or did not answer for "
                f"{PATIENCE.total_seconds() / 60:.0f} minutes; run the same command again to continue"
            ) from error


ALONE = World()


@contextmanager
def world() -> Iterator[World]:
    """The processes that `torchrun` started, joined while the block lasts; this one alone without it.

    Raises:
        ConfigError: the variables that torchrun sets are there in part.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    missing = [name for name in NAMED if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE: {size} processes, but {', '.join(missing)} is not set; start pssr by torchrun"
        )
    here = World(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    joined = torch.distributed.is_initialized()
    if not joined:
        # gloo for what lies in memory, NCCL for what lies on a GPU.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        meet = torch.distributed.rendezvous  # type: ignore[attr-defined]
        store = fresh(next(meet("env://", here.rank, size, timeout=PATIENCE))[0], here.rank, size, PATIENCE)
        torch.distributed.init_process_group(
            backend, store=store, rank=here.rank, world_size=size, timeout=PATIENCE
        )
    try:
        yield here
    finally:
        if not joined:
            torch.distributed.destroy_process_group()

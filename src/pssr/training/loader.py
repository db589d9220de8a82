"""Batches of good bundles for one process of a training, from any step on."""

import signal
from collections.abc import Generator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pssr.config import Config
from pssr.data.patches import Patches
from pssr.errors import PssrError, TrainingError
from pssr.training.distributed import World
from pssr.training.steps import groups

WARNINGS = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()
HANGS_S = 300.0  # that a worker may take for a batch


def batches(
    config: Config, patches: Patches, step: int, here: World, device: torch.device
) -> Generator[list[Tensor], None, None]:
    """Good bundles, with their real partners, of this process's groups; the same for any number of workers.

    Args:
        config: of the run.
        patches: to learn from.
        step: the first one.
        here: whose share of each batch.
        device: where they will go.

    Raises:
        TrainingError: a worker died or hangs.
    """
    batch, workers = config.data.batch, config.data.workers
    mine = [item for group in here.share(len(groups(batch))) for item in groups(batch)[group]]
    loader: DataLoader[list[Tensor]] = DataLoader(
        patches,  # type: ignore[arg-type]
        batch_sampler=([k * batch + item for item in mine] for k in range(step, config.train.steps)),
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_deaf,
        timeout=HANGS_S if workers else 0,
        generator=torch.Generator(),  # else the loader would draw from, and change, torch's global one
    )
    made = iter(loader)
    try:
        while True:
            try:
                batch_of_patches = next(made)
            except StopIteration:
                return
            except PssrError:
                raise
            except RuntimeError as error:
                if not workers:
                    raise
                raise TrainingError(
                    f"data.workers: a process that cuts patches died ({str(error).splitlines()[0]}); run the same command "
                    "again to continue, with fewer workers or less data.cache_gb if memory was short"
                ) from error
            yield batch_of_patches
    finally:
        # The workers are deaf to signals and end when their iterator does.
        del made


def _deaf(_worker: int) -> None:
    """Ctrl-C and a scheduler reach every process; the workers end when the training has saved itself."""
    for number in (signal.SIGINT, signal.SIGTERM, *WARNINGS):
        signal.signal(number, signal.SIG_IGN)

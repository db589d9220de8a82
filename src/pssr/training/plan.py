"""What is measured before a training, and what it will take: seen before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import psutil
import torch
from torch import Tensor

from pssr.config import Config
from pssr.training.distributed import ALONE
from pssr.training.prepare import LR, TRIAL, Bench, generator, learner, patches
from pssr.training.steps import GROUP
from pssr.training.trial import batch_that_fits, found_lr, tried


@dataclass(frozen=True)
class Plan:
    """What was found by trying.

    Args:
        config: with nothing left to be measured.
        step_s: seconds of a step, of all processes together.
        memory_bytes: that a step needs on each device.
    """

    config: Config
    step_s: float
    memory_bytes: int


def planned(config: Config, given: Bench) -> Plan:
    """Try a few steps, and settle what the settings leave open.

    Args:
        config: fitted to the movies.
        given: the material.
    """
    batch, size = config.data.batch or GROUP, given.world.size
    # One process tries while the others wait: it must not wait for them.
    alone = replace(given, world=ALONE)
    provisional = config.changed({"data.batch": batch, "train.lr": config.train.lr or LR})

    def draw(number: int) -> torch.Generator:
        return generator(config.seed, number, TRIAL, given.device)

    trial = tried(
        lambda name: learner(provisional, alone, name), _batch(provisional, alone, 0, min(batch, GROUP)), draw,
        config.train.precision,
    )  # fmt: skip
    found: dict[str, object] = {"train.precision": trial.precision}
    if config.data.batch == 0:
        # Processes have a GPU each, or the memory of one machine together; and none may be without work.
        beside = 1 if given.device.type == "cuda" else size
        fits = batch_that_fits(
            trial.per_bundle * beside / size, trial.weights * beside, free_bytes(given.device)
        )
        batch = max(fits, GROUP * size if size > 1 else 1)
    if config.train.lr == 0:
        found["train.lr"] = found_lr(
            learner(provisional, alone, trial.precision), lambda k: _batch(provisional, alone, k, batch), draw
        )
    resolved = config.changed({**found, "data.batch": batch})
    together = min(batch, config.train.micro or batch)
    return Plan(
        resolved,
        trial.bundle_s * batch / size,
        int(trial.per_bundle * together / size + trial.weights),
    )


def free_bytes(device: torch.device) -> float:
    """Memory of a device that nothing uses."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(psutil.virtual_memory().available)


def _batch(config: Config, given: Bench, step: int, count: int) -> Sequence[Tensor]:
    """Patches of a step, and their partners."""
    made = patches(config, given, given.train, config.data.patch_px, count)
    items = zip(*(made[step * count + k] for k in range(count)), strict=True)
    return [torch.from_numpy(np.stack(parts)).to(given.device) for parts in items]

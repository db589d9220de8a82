"""The phases of a training: what is learned from, and how, until which share of it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from pssr.config import Config
from pssr.data.patches import Patches
from pssr.training.steps import Draws, Learned

LearnStep = Callable[[Sequence[Tensor], Draws, float, int | None], Learned]


@dataclass(frozen=True)
class Phase:
    """A part of a training.

    Args:
        name: for people.
        until: share of the training at which it ends, 0..1.
        patches: to learn from.
        learn: one step on this process's bundles (and their real partners), with draws by group, a learning rate, and how
            many bundles go through at once.
    """

    name: str
    until: float
    patches: Patches
    learn: LearnStep


def sizes(config: Config) -> list[tuple[int, float]]:
    """Side of the patches, and the share of the training at which each size ends."""
    sides = (*(side for side in config.data.grow_px if side < config.data.patch_px), config.data.patch_px)
    return [(side, (k + 1) / len(sides)) for k, side in enumerate(sides)]

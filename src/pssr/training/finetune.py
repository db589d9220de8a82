"""Training that starts from a model: its weights, its ancestors, and what stays as it is."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pssr.config import Config
from pssr.errors import ConfigError, ModelError
from pssr.model_file import Ancestor, load
from pssr.networks import Generator
from pssr.networks.weights import misfit
from pssr.parts import did_you_mean


def started_from(config: Config, net: Generator) -> tuple[Ancestor, ...]:
    """Give a network the weights of the model that the settings name, if any.

    Args:
        config: of the run.
        net: changed in place.

    Returns:
        That model's ancestors and itself; () where none is named.

    Raises:
        ModelError: damaged, or of another network: the first misfit is named.
    """
    if config.init is None:
        return ()
    model = load(Path(config.init))
    for name in ("frames", "scale"):
        theirs, ours = getattr(model.config, name), getattr(config, name)
        if theirs != ours:
            raise ModelError(f"init: the model has {name}={theirs}, the run {ours}; set {name}={theirs}")
    fits(model.weights, net, f"init: {config.init}")
    net.load_state_dict(model.weights)
    return (
        *model.ancestors,
        Ancestor(model.sha256, model.steps, tuple(source.name for source in model.sources)),
    )


def fits(weights: object, net: Generator, what: str) -> None:
    """Stop unless weights are just those of a network: dense, finite, of its names and shapes.

    Args:
        weights: by name, as read from a file.
        net: whose they should be.
        what: for the message.

    Raises:
        ModelError: names the first misfit.
    """
    wrong = misfit(weights, net.state_dict())
    if wrong:
        raise ModelError(f"{what}: {wrong}; use the settings of the network it was trained with")


def frozen(net: Generator, beginnings: Sequence[str]) -> None:
    """Let weights whose names begin so stay as they are.

    Raises:
        ConfigError: no weight begins so, or none is left to learn.
    """
    names = dict(_named(net))
    for beginning in beginnings:
        found = [name for name in names if name == beginning or name.startswith(f"{beginning}.")]
        if not found:
            parts = sorted({name.partition(".")[0] for name in names})
            raise ConfigError(
                f"train.freeze: no weights begin with '{beginning}'; {did_you_mean(beginning, parts)}"
            )
        for name in found:
            names[name].requires_grad_(False)
    if names and not any(p.requires_grad for p in names.values()):
        raise ConfigError("train.freeze: nothing is left to learn; name fewer parts")


def _named(net: Generator) -> list[tuple[str, torch.nn.Parameter]]:
    assert isinstance(net, torch.nn.Module)
    return list(net.named_parameters())

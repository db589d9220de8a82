"""From a model file to a network that is ready to be asked."""

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from pssr.config import Config
from pssr.errors import ConfigError, ModelError
from pssr.model_file import Model, load
from pssr.networks import NETWORKS, Generator, network
from pssr.networks.weights import misfit
from pssr.parts import refuse_foreign
from pssr.predict.asking import Together

ALIKE = ("scale", "frames", "axis", "ends")  # what models must share to be averaged


def network_of(model: Model, name: str, device: torch.device, trust: Collection[str]) -> Generator:
    """The network of a model with its weights, in evaluation mode, on a device.

    Args:
        model: what the model file holds.
        name: of the model, for messages.
        device: where it shall be.
        trust: modules outside pssr that the model may name.

    Raises:
        ModelError: weights that do not fit the network, or a network that is not trusted.
    """
    refuse_foreign(model.config.network, NETWORKS, trust)
    net = _fitting(model, name)
    net.load_state_dict(model.weights)
    return net.to(device, memory_format=torch.channels_last).eval()


def together(
    models: Sequence[Model], names: Sequence[str], device: torch.device, trust: Collection[str]
) -> Generator:
    """A model, or several as one network on the intensity scale of the first.

    Args:
        models: what the files hold.
        names: of the models, for messages.
        device: where they shall be.
        trust: modules outside pssr that they may name.

    Raises:
        ModelError: as for `network_of`.
        ConfigError: models that cannot be averaged.
    """
    nets = [network_of(model, name, device, trust) for model, name in zip(models, names, strict=True)]
    if len(nets) == 1:
        return nets[0]
    first = models[0]
    for model, name in zip(models[1:], names[1:], strict=True):
        for word in ALIKE:
            here, there = getattr(first.config, word), getattr(model.config, word)
            if here != there:
                raise ConfigError(
                    f"{name}: its {word} is {there}, that of {names[0]} is {here}; only models alike can be averaged"
                )
    scales = [_from_first(first.reference, model.reference) for model in models]
    return Together(nets, scales).eval()


def _from_first(first: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Gain and shift from the scale on which one model sees a movie to that of another.

    Both put the same percentiles of the movie where those of their own bad frames lay.
    """
    gain = max(other[1] - other[0], 1e-3) / max(first[1] - first[0], 1e-3)
    return gain, other[0] - first[0] * gain


def _fitting(model: Model, name: str) -> Generator:
    """The network of a model, built once it is known that its weights are those of the file.

    Raises:
        ModelError: they are not.
    """
    part = model.config.network
    sketch = _sketched(model.config)
    if sketch is not None:
        _refuse_misfit(model, sketch, name)
    # Built anew and not filled in: what is not among the weights, such as a table, gets its numbers here.
    net = network(part, frames=model.config.frames, scale=model.config.scale)
    if part.name not in NETWORKS:
        _refuse_misfit(model, net, name)
    return net


def _sketched(config: Config) -> Generator | None:
    """The network without memory: a file may ask for one of any size. None where one's own cannot be built so."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            # Of weights that a network of one's own gives itself, and that have no effect here.
            warnings.simplefilter("ignore")
            return network(config.network, frames=config.frames, scale=config.scale)
    except Exception:
        # One's own may compute while it is built, and say by any error that there are no numbers.
        if config.network.name in NETWORKS:
            raise
        return None


def _refuse_misfit(model: Model, net: Generator, name: str) -> None:
    wrong = misfit(model.weights, net.state_dict())
    if wrong:
        raise ModelError(f"{name}: the weights do not fit {model.config.network} ({wrong}); train it again")


def models_of(path: str | Path | Sequence[str | Path]) -> tuple[list[Model], list[str]]:
    """Models of files and run folders, and what they are called.

    Args:
        path: of one, or of several.

    Raises:
        ModelError: missing, damaged, or of another format.
        ConfigError: none is given.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if not paths:
        raise ConfigError("model: none is given; name a run folder or a model file")
    # What cannot be read has no place to be named after.
    models = [load(one) for one in paths]
    return models, [one.resolve().name if one.is_dir() else one.resolve().parent.name for one in paths]

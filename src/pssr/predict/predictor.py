"""A trained model, ready to restore arrays, movies and files."""

import itertools
import warnings
from collections.abc import Collection, Sequence
from collections.abc import Generator as Closable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from jaxtyping import Num

from pssr.config import Config
from pssr.data.bundles import windows
from pssr.data.intensity import Intensity, Planes, matched, sampled
from pssr.errors import ConfigError, ModelError, ShapeError, WriteError
from pssr.io.open import Choices, open_stack
from pssr.io.stack import Stack
from pssr.io.write import StackWriter
from pssr.model_file import Model, load
from pssr.networks import NETWORKS, Generator, network
from pssr.networks.weights import misfit
from pssr.parts import refuse_foreign
from pssr.predict.device import choose_device
from pssr.predict.engine import restore
from pssr.predict.window import bundles_of


@dataclass(frozen=True)
class Predictor:
    """A network with everything needed to use it.

    Args:
        model: what the model file holds.
        net: the network with its weights, in evaluation mode, on the device.
        device: where it computes.
        name: of the model, for provenance.
        precision: `fp32`, or `bf16` for more speed and pixels that differ in the third digit.
        tile_px: side of a tile in low-resolution pixels; None takes whole frames if memory allows.
            Restored pixels do not depend on it.
        trust: modules outside pssr that the model may name.
    """

    model: Model
    net: Generator
    device: torch.device
    name: str = "model"
    precision: str = "fp32"
    tile_px: int | None = None
    trust: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto", trust: Collection[str] = ()) -> "Predictor":
        """A predictor from a model file or a run folder.

        Args:
            path: `model.safetensors`, or the run folder that holds it.
            device: auto, cpu, cuda, mps.
            trust: modules outside pssr that the model may name.

        Raises:
            ModelError: missing, damaged, of another format, or naming code that is not trusted.
            ConfigError: no such device.
        """
        path = Path(path)
        # What cannot be read has no place to be named after.
        model = load(path)
        name = path.resolve().name if path.is_dir() else path.resolve().parent.name
        return cls.of(model, device=device, name=name, trust=trust)

    @classmethod
    def of(
        cls, model: Model, *, device: str = "auto", name: str = "model", trust: Collection[str] = ()
    ) -> "Predictor":
        """A predictor from a model in memory.

        Raises:
            ModelError: weights that do not fit the network, or a network that is not trusted.
        """
        config = model.config
        refuse_foreign(config.network, NETWORKS, trust)
        net = _fitting(model, name)
        net.load_state_dict(model.weights)
        where = choose_device(device)
        net = net.to(where, memory_format=torch.channels_last).eval()
        return cls(model, net, where, name, trust=frozenset(trust))

    def frames(
        self, movie: Planes, *, intensity: Intensity | None = None
    ) -> Closable[Num[np.ndarray, "high_h high_w"], None, None]:
        """The restored frames of a movie, one by one, in the movie's dtype and units.

        Args:
            movie: low-resolution planes: a `Movie` or a (T, Y, X) array.
            intensity: scale of the whole movie; None measures it, so that the movie reaches the network
                as bright as the bad frames it was trained on.

        Yields:
            (scale * Y, scale * X) per target frame; integers are rounded and saturate.

        Raises:
            ShapeError: the movie is not made of planes, or has none.
            ConfigError: the movie is shorter than a bundle and the model drops ends.
        """
        dtype = _checked_dtype(movie)
        config = self.model.config
        scale = intensity or matched(movie, self.model.reference)
        for _, bundle in bundles_of(movie, scale, frames=config.frames, ends=config.ends):
            unit = restore(
                self.net, bundle, device=self.device, precision=self.precision, tile_px=self.tile_px
            )
            yield scale.from_unit(unit, dtype)

    def predict(
        self, movie: Planes, *, intensity: Intensity | None = None
    ) -> Num[np.ndarray, "t high_h high_w"]:
        """The whole restored movie in memory: (T, scale * Y, scale * X), same dtype.

        Args:
            movie: as for `frames`.
            intensity: as for `frames`.
        """
        return np.stack(list(self.frames(movie, intensity=intensity)))

    def predict_file(self, source: str | Path, target: str | Path, **choices: Any) -> Path:
        """Restore a file to a file.

        Args:
            source: whatever `open_stack` reads.
            target: the file to write: OME-TIFF, OME-Zarr or MP4 by its ending, or as `format` says.
            choices: as for `steps`.

        Returns:
            The file written.
        """
        with closing(self.steps(source, target, **choices)) as steps:
            for _ in steps:
                pass
        return Path(target)

    def steps(
        self,
        source: str | Path,
        target: str | Path,
        *,
        channel: str | int | None = None,
        overwrite: bool = False,
        format: str | None = None,
        compression: str | None = None,
        **choices: Unpack[Choices],
    ) -> Closable[tuple[int, int], None, None]:
        """Restore a file plane by plane; memory does not grow with its length.

        Every z plane of a movie, and every time point of a z-stack, is restored.

        Args:
            source: whatever `open_stack` reads.
            target: the file to write; it appears under this name when complete.
            channel: name or number, or `all` for each; needed where there are several.
            overwrite: whether an existing target may be replaced.
            format: of the target, as for `StackWriter`; None goes by the ending of its name.
            compression: of the target, as for `StackWriter`.
            choices: `scene`, `axes`, `series`, `phase`, `missing`, as for `open_stack`.

        Yields:
            (planes written, planes in all).

        Raises:
            ReadError: the source cannot be read.
            ChoiceNeeded: several channels or scenes and none chosen.
            WriteError: the target exists or cannot be written.
        """
        stack = open_stack(source, **choices)
        config = self.model.config
        channels = chosen_channels(stack, channel)
        axis, other = config.axis, "Z" if config.axis == "T" else "T"
        kept = len(windows(stack.sizes[axis], config.frames, config.ends))
        if kept == 0:
            raise ConfigError(
                f"{stack.path}: the model drops ends, which leaves none of {stack.sizes[axis]} frames; "
                "use one trained with ends=reflect"
            )
        if choices.get("series") and Path(target).parent.resolve() == stack.path.resolve():
            raise WriteError(f"{target}: lies in the folder to read from; choose another one")
        scales = [matched(_spread(stack, c), self.model.reference) for c in channels]
        writer = StackWriter(
            target,
            like=stack,
            scale=config.scale,
            sizes={"C": len(channels), axis: kept},
            channels=[stack.channels[c] for c in channels],
            provenance=self.provenance(stack, scales),
            format=format,
            compression=compression,
            overwrite=overwrite,
        )
        with writer:
            places = itertools.product(range(len(channels)), range(stack.sizes[other]))
            for done, (place, k) in enumerate(places):
                movie = stack.movie(channels[place], axis=axis, **{other.lower(): k})
                for t, plane in enumerate(self.frames(movie, intensity=scales[place])):
                    writer.write(plane, **{axis: t, other: k, "C": place})
                    yield done * kept + t + 1, len(channels) * stack.sizes[other] * kept

    def provenance(self, stack: Stack, scales: Sequence[Intensity]) -> dict[str, Any]:
        """What an output file says about how it was made."""
        config = self.model.config
        return {
            "program": f"pssr-toolkit {version('pssr-toolkit')}",
            "model": self.name,
            "model_sha256": self.model.sha256,
            "source": stack.path.name,
            "scale": config.scale,
            "frames": config.frames,
            "axis": config.axis,
            "ends": config.ends,
            "network": str(config.network),
            "precision": self.precision,
            "intensity": [[scale.low, scale.high] for scale in scales],
        }


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


def misfits(model: Model, stack: Stack) -> tuple[str, ...]:
    """What a person should know before a stack is restored by a model that was trained for others."""
    config = model.config
    axis, other = config.axis, "Z" if config.axis == "T" else "T"
    if config.frames > 1 and stack.sizes[axis] == 1 and stack.sizes[other] > 1:
        return (
            f"the model takes {config.frames} neighbours along {axis}, of which there is one, and not along {other}: each "
            "plane is restored alone",
        )
    return ()


def chosen_channels(stack: Stack, channel: str | int | None) -> list[int]:
    """The numbers of the channels asked for; several and none chosen is a question, not a guess."""
    return list(range(stack.sizes["C"])) if channel == "all" else [stack.channel_number(channel)]


def _spread(stack: Stack, channel: int) -> list[np.ndarray]:
    """A few planes spread over all times and depths, to measure one scale for the whole channel."""
    places = list(itertools.product(range(stack.sizes["T"]), range(stack.sizes["Z"])))
    return [stack.plane(T=places[k][0], Z=places[k][1], C=channel) for k in sampled(len(places))]


def _checked_dtype(movie: Planes) -> np.dtype:
    """Of the planes of a movie."""
    if len(movie) == 0:
        raise ShapeError("movie: has no frames; give at least one")
    first = np.asarray(movie[0])
    if first.ndim != 2:
        raise ShapeError(
            f"movie: its frames are {first.shape}, not (Y, X); choose one channel and give (T, Y, X)"
        )
    if first.dtype.kind not in "uif":
        raise ShapeError(f"movie: its pixels are {first.dtype}; convert them to integers or floats")
    return first.dtype

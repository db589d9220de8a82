"""A trained model, ready to restore arrays, movies and files."""

import warnings
from collections.abc import Collection, Sequence
from collections.abc import Generator as Closable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from jaxtyping import Num

from pssr.data.intensity import Intensity, Planes, matched
from pssr.errors import ConfigError
from pssr.io.stack import Stack
from pssr.model_file import Model, load
from pssr.networks import Generator
from pssr.predict.arrays import bundles_of, dtype_of_movie, lazy_frames, restored_frames
from pssr.predict.asking import Asking
from pssr.predict.device import check_compiler, choose_devices, chosen_precision
from pssr.predict.engine import Engine
from pssr.predict.events import Event, Warned
from pssr.predict.files import FileWords, restored_file
from pssr.predict.guard import mismatches
from pssr.predict.job import chosen_channels, scale_of
from pssr.predict.loading import together

if TYPE_CHECKING:
    import dask.array


@dataclass(frozen=True)
class Predictor:
    """A network with everything needed to use it.

    Args:
        model: what the model file holds; the first one where several are averaged.
        nets: the network with its weights, in evaluation mode, on each device.
        devices: where it computes.
        name: of the model, for provenance.
        precision: `fp32`, or `bf16` or `fp16` for more speed and pixels that differ in the third digit.
        measured: whether the precision was found by a measurement, which another time may find another.
        tile_px: side of a tile in low-resolution pixels; None takes whole frames if memory allows.
            Restored pixels do not depend on it.
        trust: modules outside pssr that the model may name.
        turns: whether eight flips and turns of each frame are restored and averaged.
        compiled: whether the network is compiled first.
        others: further models, by name, whose answers are averaged with this one's.
        asked: the device as it was asked for, which another machine may understand otherwise.
    """

    model: Model
    nets: Sequence[Generator]
    devices: Sequence[torch.device]
    name: str = "model"
    precision: str = "fp32"
    measured: bool = False
    tile_px: int | None = None
    trust: frozenset[str] = frozenset()
    turns: bool = False
    compiled: bool = False
    others: tuple[tuple[str, Model], ...] = ()
    asked: str = "auto"

    @classmethod
    def load(
        cls,
        path: str | Path | Sequence[str | Path],
        *,
        device: str = "auto",
        precision: str = "auto",
        trust: Collection[str] = (),
    ) -> "Predictor":
        """A predictor from a model file or a run folder.

        Args:
            path: `model.safetensors`, or the run folder that holds it; of several the answers are averaged.
            device: auto, cpu, cuda, mps; several separated by commas, or `all` CUDA devices.
            precision: fp32, bf16 or fp16; `auto` measures which is fast.
            trust: modules outside pssr that the model may name.

        Raises:
            ModelError: missing, damaged, of another format, or naming code that is not trusted.
            ConfigError: no such device or precision, or models that cannot be averaged.
        """
        paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
        if not paths:
            raise ConfigError("model: none is given; name a run folder or a model file")
        # What cannot be read has no place to be named after.
        models = [load(one) for one in paths]
        names = [one.resolve().name if one.is_dir() else one.resolve().parent.name for one in paths]
        return cls.of(*models, device=device, precision=precision, names=names, trust=trust)

    @classmethod
    def of(
        cls,
        *models: Model,
        device: str = "auto",
        precision: str = "auto",
        names: Sequence[str] = (),
        trust: Collection[str] = (),
    ) -> "Predictor":
        """A predictor from models in memory; as for `load`.

        Args:
            models: one, or several whose answers are averaged.
            device: as for `load`.
            precision: as for `load`.
            names: of the models, for provenance.
            trust: as for `load`.

        Raises:
            ModelError: weights that do not fit the network, or a network that is not trusted.
        """
        called = [*names, *(f"model {k}" if k else "model" for k in range(len(names), len(models)))]
        devices = choose_devices(device)
        nets = [together(models, called, where, trust) for where in devices]
        chosen = chosen_precision(precision, devices[0])
        return cls(
            models[0], nets, devices, called[0], chosen, precision == "auto", trust=frozenset(trust),
            others=tuple(zip(called[1:], models[1:], strict=True)), asked=device,
        )  # fmt: skip

    @property
    def net(self) -> Generator:
        """The network on the first device."""
        return self.nets[0]

    @property
    def device(self) -> torch.device:
        """The first device."""
        return self.devices[0]

    def engines(self, *, spread: bool = False) -> list[Engine]:
        """The networks ready to be asked, one on each device.

        Args:
            spread: whether they shall say how far answers lie apart.

        Raises:
            ConfigError: the network is to be compiled, and nothing can be compiled here.
        """
        if self.compiled:
            check_compiler("compile")
        asking = Asking(turns=self.turns, spread=spread)
        return [
            Engine(net, device, self.precision, self.tile_px, asking, self.compiled)
            for net, device in zip(self.nets, self.devices, strict=True)
        ]

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
        dtype, bundles = dtype_of_movie(movie), bundles_of(len(movie), self.model.config)
        scale = intensity or self.intensity(movie)
        yield from restored_frames(self.engines()[0], movie, scale, dtype, bundles)

    def intensity(self, movie: Planes) -> Intensity:
        """The scale on which a movie reaches the network as bright as the bad frames it was trained on.

        Args:
            movie: low-resolution planes.
        """
        return matched(movie, self.model.reference)

    def predict(
        self, movie: Planes, *, intensity: Intensity | None = None
    ) -> Num[np.ndarray, "t high_h high_w"]:
        """The whole restored movie in memory: (T, scale * Y, scale * X), same dtype.

        Args:
            movie: as for `frames`.
            intensity: as for `frames`.
        """
        return np.stack(list(self.frames(movie, intensity=intensity)))

    def lazy(self, movie: Planes, *, intensity: Intensity | None = None) -> "dask.array.Array":
        """The restored movie as a lazy array (T, scale * Y, scale * X), each plane restored when it is read.

        Args:
            movie: as for `frames`.
            intensity: as for `frames`; None measures it now.

        Returns:
            One chunk for each plane; needs the extra `notebook`.
        """
        dtype, config = dtype_of_movie(movie), self.model.config
        shape = tuple(config.scale * side for side in np.asarray(movie[0]).shape)
        scale = intensity or self.intensity(movie)
        restore = partial(restored_frames, self.engines()[0], movie, scale, dtype)
        return lazy_frames(restore, bundles_of(len(movie), config), (shape[0], shape[1]), dtype)

    def mismatches(self, stack: Stack, channel: str | int | None = None) -> tuple[str, ...]:
        """In what a stack differs from what the model was trained on, a sentence for each.

        Args:
            stack: low-resolution.
            channel: name or number, or `all`.
        """
        said = [
            sentence
            for c in chosen_channels(stack, channel)
            for sentence in mismatches(
                self.model, stack, c, scale_of(stack, c, self.model.reference), trust=self.trust
            )
        ]
        return tuple(dict.fromkeys(said))

    def predict_file(self, source: str | Path, target: str | Path, **words: Unpack[FileWords]) -> Path:
        """Restore a file to a file; the same call again goes on where one was interrupted.

        Args:
            source: whatever `open_stack` reads.
            target: the file to write: OME-TIFF, OME-Zarr or MP4 by its ending, or as `format` says.
            words: as for `steps`.

        Returns:
            The file written.
        """
        with closing(self.steps(source, target, **words)) as steps:
            for event in steps:
                if isinstance(event, Warned):
                    warnings.warn(event.message, stacklevel=2)
        return Path(target)

    def steps(
        self, source: str | Path, target: str | Path, **words: Unpack[FileWords]
    ) -> Closable[Event, None, None]:
        """Restore a file plane by plane; memory does not grow with its length.

        Every z plane of a movie, and every time point of a z-stack, is restored. What is not finished lies beside the target
        as `<name>.part`; the same call again goes on with it.

        Args:
            source: whatever `open_stack` reads.
            target: the file to write; it appears under this name when complete.
            words: what is restored (`channel`, `t`, `z`, `y`, `x`, `nan`, as in `Wanted`); how it is written (`format`,
                `compression`, `dtype`, `compare`, `uncertainty`, `overwrite`, as in `Writing`); `strict`, which makes every
                mismatch with the training an error; and `scene`, `axes`, `series`, `phase`, `missing`, as for `open_stack`.

        Yields:
            `Progress` for each plane, `Warned` and `Noted` for what there is to know, `Written` for each file.

        Raises:
            ReadError: the source cannot be read.
            ChoiceNeeded: several channels or scenes and none chosen.
            WriteError: the target exists or cannot be written.
        """
        yield from restored_file(self, Path(source), Path(target), words)

    def in_precision(self, precision: str) -> "Predictor":
        """The same in another precision."""
        return replace(self, precision=precision)

    def provenance(self, source: str, scales: Sequence[Intensity]) -> dict[str, Any]:
        """What an output file says about how it was made.

        Args:
            source: name of the low-resolution file.
            scales: of its channels.
        """
        config = self.model.config
        return {
            "program": f"pssr-toolkit {version('pssr-toolkit')}",
            "model": self.name,
            "model_sha256": self.model.sha256,
            **({"averaged_with": [[name, m.sha256] for name, m in self.others]} if self.others else {}),
            "source": source,
            "scale": config.scale,
            "frames": config.frames,
            "axis": config.axis,
            "ends": config.ends,
            "network": str(config.network),
            "precision": self.precision,
            **({"turns": 8} if self.turns else {}),
            "intensity": [[scale.low, scale.high] for scale in scales],
        }

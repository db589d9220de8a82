"""A trained model, ready to restore arrays, movies and files."""

import warnings
from collections.abc import Collection, Sequence
from collections.abc import Generator as Closable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
from jaxtyping import Num

from pssr.data.intensity import Intensity, Planes, matched
from pssr.io.stack import Stack
from pssr.model_file import Model
from pssr.networks import Generator
from pssr.predict.arrays import bundles_of, dtype_of_movie, lazy_frames, restored_field, restored_frames
from pssr.predict.asking import Asking
from pssr.predict.device import check_compiler, choose_devices, chosen_precision
from pssr.predict.engine import Engine
from pssr.predict.events import Event, Warned
from pssr.predict.files import FileWords, restored_file, restored_stack
from pssr.predict.guard import mismatches
from pssr.predict.job import chosen_channels, scale_of
from pssr.predict.loading import models_of, together
from pssr.predict.restoring import Destination

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
        """A predictor from a model file or a run folder, or from several; as `pssr.load`, which says more.

        Raises:
            ModelError: missing, damaged, of another format, or naming code that is not trusted.
            ConfigError: no such device or precision, or models that cannot be averaged.
        """
        models, names = models_of(path)
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

    def frame(
        self,
        movie: Planes,
        t: int,
        *,
        y: slice = slice(None),
        x: slice = slice(None),
        intensity: Intensity | None = None,
    ) -> Num[np.ndarray, "high_h high_w"]:
        """One restored frame, or a field of it, with the pixels that the whole would have there.

        Args:
            movie: as for `frames`.
            t: its number, from 0.
            y: rows of the low-resolution frame.
            x: columns, likewise.
            intensity: as for `frames`.

        Raises:
            ConfigError: there is no such frame or field, or the model drops this end of the movie.
        """
        dtype, bundles = dtype_of_movie(movie), bundles_of(len(movie), self.model.config)
        scale = intensity or self.intensity(movie)
        return restored_field(self.engines()[0], movie, scale, dtype, bundles, (t, y, x))

    def intensity(self, movie: Planes) -> Intensity:
        """The scale on which a movie reaches the network as bright as the bad frames it was trained on.

        Args:
            movie: low-resolution planes.
        """
        return matched(movie, self.model.reference)

    def scale(self, stack: Stack, channel: str | int | None = None) -> Intensity:
        """The one scale on which all frames and depths of a channel are restored.

        Args:
            stack: low-resolution.
            channel: name or number; needed where there are several.
        """
        return scale_of(stack, stack.channel_number(channel), self.model.reference)

    def predict(
        self, movie: Planes, *, intensity: Intensity | None = None
    ) -> Num[np.ndarray, "t high_h high_w"]:
        """The whole restored movie in memory; as for `frames`.

        Args:
            movie: low-resolution planes.
            intensity: scale of the whole movie, or None.
        """
        return np.stack(list(self.frames(movie, intensity=intensity)))

    def lazy(self, movie: Planes, *, intensity: Intensity | None = None) -> "dask.array.Array":
        """The restored movie as a lazy array (T, scale * Y, scale * X), each a chunk that is restored when it is read.

        Args:
            movie: as for `frames`.
            intensity: as for `frames`; None measures it now.
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
        scales = {c: self.scale(stack, c) for c in chosen_channels(stack, channel)}
        said = (mismatches(self.model, stack, c, scales[c], trust=self.trust) for c in scales)
        return tuple(dict.fromkeys(chain.from_iterable(said)))

    def predict_file(
        self, source: str | Path | Stack, target: str | Path, **words: Unpack[FileWords]
    ) -> Path:
        """Restore a file to a file; the same call again goes on where one was interrupted.

        Args:
            source: whatever `open_stack` reads, or a stack.
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
        self, source: str | Path | Stack, target: str | Path, **words: Unpack[FileWords]
    ) -> Closable[Event, None, None]:
        """Restore a file plane by plane; memory does not grow with its length.

        Every z plane of a movie, and every time point of a z-stack, is restored. What is not finished lies beside the target
        as `<name>.part`; the same call again goes on with it.

        Args:
            source: whatever `open_stack` reads, or a stack.
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
        yield from restored_file(self, source, Path(target), words)

    def restore(
        self, stack: Stack, into: Destination, **words: Unpack[FileWords]
    ) -> Closable[Event, None, None]:
        """Restore a stack plane by plane into something of your own.

        Args:
            stack: low-resolution.
            into: `has(place)` says whether a plane is there already, `write(place, answer)` takes one, in a thread; a place
                is the numbers of T, C and Z among those restored, an answer has planes `restored`, `low` and `spread`.
            words: as for `steps`.

        Yields:
            As for `steps`, but that no file is written.
        """
        yield from restored_stack(self, stack, into, words)

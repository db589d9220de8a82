"""The model as data: one safetensors file, its settings as JSON in the header, no code and no pickle."""

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from
from safetensors.torch import save as tensors_to
from torch import Tensor

from pssr.config import Config, parse
from pssr.errors import ConfigError, ModelError
from pssr.io.atomic import write_whole

FORMAT = 1
COPIES = 3  # of a model in memory while it is read: the file, its weights, those of the network
LARGEST_HEADER = 16 * 1024**2  # bytes; a real one has a few thousand
# Of weights and running means, and of the steps that a batch norm counts.
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64)
DAMAGE = (
    SafetensorError, ConfigError, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One movie that a model was trained on.

    Args:
        name: of the file and channel.
        shape: frames, rows, columns.
        dtype: of the counts.
        low: counts that were 0 for the network.
        high: counts that were 1.
        pixel_size_um: of the good pixels; None where unknown.
        interval_s: between frames; None where unknown.
        partner: name, intensity scale and registration of its real low-resolution partner; None where it has none.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: str
    low: float
    high: float
    pixel_size_um: float | None = None
    interval_s: float | None = None
    partner: str | None = None


@dataclass(frozen=True)
class Ancestor:
    """A model that another one's training started from.

    Args:
        sha256: of its weights and settings.
        steps: that it was trained.
        sources: names of the movies it was trained on.
    """

    sha256: str
    steps: int
    sources: Sequence[str]


@dataclass(frozen=True)
class Model:
    """All that is needed to use a trained network.

    Args:
        config: of the run that trained it.
        weights: by the network's own names.
        reference: where the 1 and 99.8 percentiles of the crappified training frames lay on the 0..1 scale.
        sources: what it was trained on, with the intensity scale of each.
        steps: training steps done.
        scores: of the last validation, by name.
        sha256: of weights and settings; empty before it is saved.
        ancestors: models that its training started from, the oldest first.
    """

    config: Config
    weights: Mapping[str, Tensor] = field(repr=False)
    reference: tuple[float, float]
    sources: Sequence[Source]
    steps: int
    scores: Mapping[str, float]
    sha256: str = ""
    ancestors: Sequence[Ancestor] = ()


def save(model: Model, path: Path) -> None:
    """Write the model file; it is complete under its name or not there.

    Args:
        model: with weights on any device.
        path: the final name.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to.
    """
    weights = {name: w.detach().cpu().contiguous() for name, w in model.weights.items()}
    about = {
        "format": FORMAT,
        "written_by": f"pssr-toolkit {version('pssr-toolkit')}, torch {torch.__version__}",
        "config": model.config.model_dump(mode="json"),
        "reference": list(model.reference),
        "sources": [asdict(source) for source in model.sources],
        "steps": model.steps,
        "scores": dict(model.scores),
        "ancestors": [asdict(ancestor) for ancestor in model.ancestors],
    }
    about["sha256"] = _digest(weights, about)
    write_whole(path, tensors_to(weights, {"pssr": json.dumps(about)}))


def load(path: Path) -> Model:
    """Read a model file; no code in it is run and nothing it names is imported.

    Args:
        path: a `model.safetensors`, or the run folder that holds one.

    Raises:
        ModelError: missing, damaged, of another program or of a newer format.
    """
    try:
        path = path / "model.safetensors" if path.is_dir() else path
        if path.exists() and not path.is_file():
            # A pipe would be waited for, and a device has no end.
            raise ModelError(f"{path}: is no regular file; give a run folder or a model file")
        with path.open("rb") as file:
            # The rest may be larger than memory: it is read if it belongs to a model.
            start = file.read(8 + LARGEST_HEADER)
            about = _about(start, path.name)
            size, free = os.fstat(file.fileno()).st_size, psutil.virtual_memory().available
            if COPIES * size > free:
                raise ModelError(
                    f"{path}: has {size / 1e9:.1f} GB and {free / 1e9:.1f} GB of memory are free; it is damaged, or needs "
                    "a larger machine"
                )
            content = start + file.read()
    except (OSError, ValueError) as error:
        # A ValueError is of a name that no file can have.
        if isinstance(error, ModelError):
            raise
        why = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{path}: cannot be read ({why}); give a run folder or a model file") from error
    return _model(content, about, path)


def _model(content: bytes, about: Mapping[str, Any], path: Path) -> Model:
    try:
        weights = _plain(tensors_from(content))
        if about["sha256"] != _digest(weights, {k: v for k, v in about.items() if k != "sha256"}):
            raise ModelError(
                f"{path.name}: the content does not match its checksum; the file is damaged, copy it again"
            )
        if not isinstance(about["config"]["crappifier"], list):
            raise ValueError("its crappifier is no list of steps")  # but a file that would be opened
        low, high = map(float, about["reference"])
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"its reference is {low} to {high}")
        return Model(
            config=parse(about["config"], path.name),
            weights=weights,
            reference=(low, high),
            sources=tuple(Source(**{**s, "shape": tuple(s["shape"])}) for s in about["sources"]),
            steps=int(about["steps"]),
            scores=dict(about["scores"]),
            sha256=about["sha256"],
            ancestors=tuple(
                Ancestor(**{**a, "sources": tuple(a["sources"])}) for a in about.get("ancestors", ())
            ),
        )
    except DAMAGE as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path.name}: is damaged ({error}); copy or train it again") from error


def _about(content: bytes, name: str) -> dict[str, Any]:
    """The JSON that `save` put into the header."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        if length > min(LARGEST_HEADER, len(content)):
            raise ValueError("no header")
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_once)
        about = json.loads(header["__metadata__"]["pssr"], object_pairs_hook=_once)
        found = about["format"]
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{name}: is not a model of pssr; give a run folder or its model.safetensors"
        ) from error
    if found != FORMAT:
        raise ModelError(f"{name}: is of format {found}, this version reads {FORMAT}; update pssr-toolkit")
    return about  # type: ignore[no-any-return]


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; two readers of one that says something twice would read different things."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, w in weights.items():
        if w.dtype not in DTYPES:
            raise ValueError(f"'{name}' is {str(w.dtype).removeprefix('torch.')}")
    return weights


def _digest(weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights, and over the settings."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(weights):
        w = weights[name]
        digest.update(f"{name} {w.dtype} {tuple(w.shape)}".encode())
        # A single number, such as the steps that a batch norm has seen, has no dimension to be viewed along.
        digest.update(w.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

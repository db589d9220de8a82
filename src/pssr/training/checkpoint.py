"""The training state on disk: checked when it is read, and the one before it kept."""

import hashlib
import io
import pickle
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from pssr.errors import ConfigError, ModelError
from pssr.io.atomic import write_whole
from pssr.model_file import Source
from pssr.training.run import Run

# What torch and its unpickler raise for bytes that are no state.
DAMAGE = (
    RuntimeError, pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError, OSError,
    AssertionError, OverflowError, MemoryError, struct.error,
)  # fmt: skip


def save_state(run: Run, state: Mapping[str, Any]) -> None:
    """Write the training state with its checksum; at every moment a whole one is there.

    Args:
        run: where to.
        state: plain dicts and lists of numbers, strings and tensors.

    Raises:
        WriteError: the disk is full; what was saved before is still there.
    """
    buffer, signed = io.BytesIO(), {**state, "version": version("pssr-toolkit")}
    torch.save({**signed, "sha256": digest(signed)}, buffer)
    # The new one is whole before the last one makes room for it.
    new = run.state.with_name("state.new.pt")
    write_whole(new, buffer.getvalue())
    if run.state.exists():
        run.state.replace(run.before)
    new.replace(run.state)


def load_state(run: Run, sources: Sequence[Source]) -> tuple[dict[str, Any], str] | None:
    """The last state that is whole, with a note if it is not the last one; None for a new run.

    Raises:
        ModelError: all that is there is damaged.
        ConfigError: the run was started on other movies or by another version, or only its model is there.
    """
    there = [path for path in (run.state, run.before) if path.is_file()]
    if not there:
        if run.model.exists():
            raise ConfigError(
                f"{run.folder}: holds a model without its training state; remove it, choose another folder, or say "
                "restart=True (--restart)"
            )
        return None
    why: list[Exception] = []
    for path in there:
        try:
            state = _read(path.read_bytes())
            before = [Source(**{**s, "shape": tuple(s["shape"])}) for s in state["sources"]]
        except DAMAGE as error:
            why.append(error)
            continue
        _refuse_other_version(run, str(state.get("version")))
        _refuse_other_movies(run, before, sources)
        note = f"{there[0].name}: is damaged; training goes on from the state saved before it" if why else ""
        return state, note
    # Torch's own message would tell how to run what is in it.
    raise ModelError(f"{there[0]}: is damaged; remove the folder or say restart=True (--restart)") from None


def digest(tree: object) -> str:
    """SHA-256 over names, numbers, types, shapes and bytes of nested dicts and lists."""
    found = hashlib.sha256()
    for piece in _pieces(tree):
        found.update(piece)
    return found.hexdigest()


def _read(content: bytes) -> dict[str, Any]:
    """A state that is what was written.

    Raises:
        ValueError: it is not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state.pop("sha256") != digest(state):
        raise ValueError("the content does not match its checksum")
    int(state["step"])
    return state


def _pieces(tree: object) -> Iterator[bytes]:
    if isinstance(tree, Tensor):
        # A sparse tensor can name memory that is not its own.
        if tree.layout != torch.strided:
            raise ValueError(f"a tensor is {tree.layout}")
        yield f"{tree.dtype} {tuple(tree.shape)}".encode()
        yield tree.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            yield f"{key!r}:".encode()
            yield from _pieces(tree[key])
    elif isinstance(tree, list | tuple):
        yield f"{len(tree)} of".encode()
        for value in tree:
            yield from _pieces(value)
    else:
        yield repr(tree).encode()


def _refuse_other_version(run: Run, before: str) -> None:
    """Another version may draw, round or schedule otherwise: the weights would not be those of one training."""
    now = version("pssr-toolkit")
    if before != now:
        raise ConfigError(
            f"{run.folder}: was begun by pssr-toolkit {before}, this is {now}; install that version to continue it, start from "
            f"its model in another folder with init={run.folder} (--init), or say restart=True (--restart)"
        )


def _refuse_other_movies(run: Run, before: Sequence[Source], sources: Sequence[Source]) -> None:
    if list(before) == list(sources):
        return
    names = [source.name for source in before]
    other = "" if names != [source.name for source in sources] else " with other content"
    raise ConfigError(
        f"{run.folder}: was trained on {', '.join(names)}{other}; give the same movies, another folder, or say "
        "restart=True (--restart)"
    )

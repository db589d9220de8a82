"""Files as layers: CZI, TIFF, OME-Zarr and folders of frames, lazily; what a file leaves open is asked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication, QInputDialog

from napari_pssr.layers import layers_of
from napari_pssr.notices import tell, tell_error
from pssr import ChoiceNeeded, PssrError, Stack, open_stack

LayerData = tuple[Any, dict[str, Any], str]
QUESTIONS = {  # how the message of each begins after the name of the file, and what is asked
    "choose a scene": ("scene", "which scene?"),
    "phases": ("phase", "which phase?"),
    "nothing says of what": ("axes", "what are its pages, slowest first?"),
}
EVERY = "all of them"


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """What reads a file, a folder, or several files that are one stack.

    Args:
        path: as napari gives it.
    """
    first = Path(path[0] if isinstance(path, list) else path)
    return read if first.exists() else None


def read(path: str | list[str]) -> list[LayerData]:
    """The layers of a file: one for each channel, and those of each scene that is chosen.

    Args:
        path: a file, a folder that is an OME-Zarr or a series of frames, or files that are opened as one stack.

    Raises:
        ReadError: the file cannot be read.
    """
    try:
        stacks = _series(path) if isinstance(path, list) and len(path) > 1 else _opened(_one(path), {})
    except PssrError as error:
        if QApplication.instance() is None:
            raise
        tell_error(error)
        stacks = []
    found: list[LayerData] = []
    for stack in stacks:
        for note in stack.notes:
            tell(f"{stack.path.name}: {note}")
        found += layers_of(stack)
    # This says to napari: understood, there is nothing to show, ask no other reader.
    return found or [(None,)]  # type: ignore[list-item]


def _one(path: str | list[str]) -> Path:
    return Path(path[0] if isinstance(path, list) else path)


def _opened(path: Path, choices: dict[str, Any]) -> list[Stack]:
    """The stack, or that of each scene that a person chooses; none if nothing is chosen."""
    try:
        return [open_stack(path, **choices)]
    except ChoiceNeeded as needed:
        asked = next(
            ((name, text) for start, (name, text) in QUESTIONS.items() if start in str(needed)), None
        )
        if asked is None or not needed.choices or asked[0] in choices:
            raise
        name, text = asked
        chosen = _asked(path, text, needed, several=name == "scene")
        given = [int(one) if name == "phase" else one for one in chosen]
        return [stack for one in given for stack in _opened(path, {**choices, name: one})]
    except PssrError:
        if not path.is_dir() or "series" in choices:
            raise
        # No OME-Zarr: then its files are frames.
        return _opened(path, {**choices, "series": "T"})


def _asked(path: Path, text: str, needed: ChoiceNeeded, *, several: bool) -> list[str]:
    """What a person chooses; without a window the first one."""
    if QApplication.instance() is None:
        return [needed.choices[0]]
    offered = [*needed.choices, *([EVERY] if several else [])]
    chosen, agreed = QInputDialog.getItem(
        None, f"Open {path.name}", f"{path.name}: {text}", offered, 0, False
    )
    if not agreed:
        return []
    return list(needed.choices) if several and chosen == EVERY else [chosen]


def _series(paths: Sequence[str]) -> list[Stack]:
    """Files that are opened as one stack: frames, in natural order."""
    return [open_stack([Path(path) for path in paths], series="T")]

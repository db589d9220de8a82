"""Which of the scenes in a file a person means."""

from collections.abc import Sequence
from pathlib import Path

from pssr.errors import ChoiceNeeded


def scene_number(
    path: Path, names: Sequence[str], scene: str | int | None, numbers: Sequence[int] | None = None
) -> int:
    """The position among a file's scenes of the one chosen by name or number.

    A name comes before a number: a scene called "2" need not be the third one.

    Args:
        path: of the file, for messages.
        names: of its scenes.
        scene: a name or number; None where there is only one.
        numbers: by which the file counts its scenes; None where it counts them from 0.

    Raises:
        ChoiceNeeded: several and none chosen, or no such scene; the message lists them.
    """
    listed, choices = ", ".join(names), tuple(names)
    if scene is None and len(names) == 1:
        return 0
    if scene is None:
        raise ChoiceNeeded(f"{path}: choose a scene ({listed})", choices)
    counted = [str(number) for number in (range(len(names)) if numbers is None else numbers)]
    for known in (list(names), counted):
        if str(scene) in known:
            return known.index(str(scene))
    hint = f"it has only one, {listed}" if len(names) == 1 else f"choose one of {listed}"
    raise ChoiceNeeded(f"{path}: has no scene {scene!r}; {hint}", choices)

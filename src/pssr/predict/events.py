"""What a restoration tells its caller; `Noted` is told by a training too."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Progress:
    """Planes are complete.

    Args:
        done: how many of them.
        total: of how many.
    """

    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """Something that a person should know, and that is no reason for doubt.

    Args:
        message: in one sentence.
    """

    message: str


@dataclass(frozen=True)
class Warned:
    """Something that may make the pixels less worth believing.

    Args:
        message: in one sentence.
    """

    message: str


@dataclass(frozen=True)
class Written:
    """A file is complete under its name.

    Args:
        path: the name.
    """

    path: Path


Event: TypeAlias = Progress | Noted | Warned | Written

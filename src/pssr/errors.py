"""The errors a user can meet, in one tree.

Every message reads `<what>: <what is wrong, with the value>; <what to do>`, in the user's words.
"""


class PssrError(Exception):
    """Catch this one; the command line prints it and exits with 1."""


class ReadError(PssrError, OSError):
    """A file is missing, damaged, of an unknown format, or lacks a plane."""


class WriteError(PssrError, OSError):
    """A file cannot be written where it was asked for."""


class ChoiceNeeded(PssrError, ValueError):
    """Several scenes, channels or z planes are there and none was chosen; the message lists them.

    Args:
        message: as printed.
        choices: the names, for a program that goes through all of them or shows a menu; () where they are endless.
    """

    def __init__(self, message: str, choices: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.choices = choices


class ConfigError(PssrError, ValueError):
    """A setting is unknown, mistyped or out of range, or names an unknown part."""


class ShapeError(PssrError, ValueError):
    """A part returned, or was given, another shape than it must."""


class ModelError(PssrError, ValueError):
    """A model file is of another format, size or number of frames, or is damaged."""


class OutOfMemory(PssrError, MemoryError):
    """The device is full at the smallest tile."""


class TrainingError(PssrError, RuntimeError):
    """Training cannot go on, for example because the loss is no longer a number."""

"""What a file that is written says about itself, whatever its format."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from pssr.errors import ConfigError
from pssr.io.stack import Place

NAMESPACE = "https://pypi.org/project/pssr-toolkit"  # of what OME-XML has no word for
UNPRINTABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold
SOFTWARE = f"pssr-toolkit {version('pssr-toolkit')}"


@dataclass(frozen=True)
class Content:
    """Sizes, type, names and units of a stack that is being written.

    Args:
        sizes: of T, C, Z, Y and X.
        dtype: of the planes, in native byte order.
        channels: one name for each.
        colours: #RRGGBB of each channel, None where unknown.
        spacing_um: distance of pixels along X and Y, of planes along Z; unknown ones absent.
        interval_s: between frames; None where unknown.
        provenance: which model, settings and version made the file.
        origin_um: where the centre of the first pixel lies along X, Y and Z; 0 where absent.
    """

    sizes: Mapping[str, int]
    dtype: np.dtype
    channels: tuple[str, ...]
    colours: tuple[str | None, ...]
    spacing_um: Mapping[str, float] = field(default_factory=dict)
    interval_s: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    origin_um: Mapping[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of a plane."""
        return self.sizes["Y"], self.sizes["X"]

    @property
    def planes(self) -> int:
        """How many there are in all."""
        return self.sizes["T"] * self.sizes["C"] * self.sizes["Z"]

    @property
    def plane_bytes(self) -> int:
        """Of one plane, uncompressed."""
        return int(math.prod(self.shape) * self.dtype.itemsize)

    @property
    def bytes(self) -> int:
        """Of all planes, uncompressed."""
        return self.planes * self.plane_bytes

    def checked(self, name: str) -> "Content":
        """The same with texts that every format can hold.

        Args:
            name: of the file, for messages.

        Raises:
            ConfigError: units or colours that are none.
        """
        units = {f"spacing_um {axis}": um for axis, um in self.spacing_um.items()}
        for what, value in (units | {"interval_s": self.interval_s}).items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(
                    f"{name}: {what} is {value}; give a number above 0, or leave it out where it is unknown"
                )
        for axis, um in self.origin_um.items():
            if not math.isfinite(um):
                raise ConfigError(f"{name}: origin_um {axis} is {um}; give a number, or leave it out")
        for colour in self.colours:
            if colour is not None and not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
                raise ConfigError(f"{name}: {colour!r} is no colour; write it such as '#00FF00'")
        return replace(
            self,
            channels=tuple(_printable(channel) for channel in self.channels),
            provenance={_printable(key): _printable(str(value)) for key, value in self.provenance.items()},
        )

    def number(self, place: Place) -> int:
        """Position of a plane in the order T, C, Z with Z fastest."""
        t, c, z = place
        return (t * self.sizes["C"] + c) * self.sizes["Z"] + z

    def provenance_text(self) -> str:
        """As JSON, with the version that wrote it."""
        return json.dumps({"program": SOFTWARE, **{k: str(v) for k, v in self.provenance.items()}})

    def fingerprint(self) -> str:
        """The same for the same content, and for no other."""
        words = asdict(self) | {"dtype": str(self.dtype), "provenance": self.provenance_text()}
        return hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()


def _printable(text: str) -> str:
    return UNPRINTABLE.sub("\ufffd", text)

"""What a file that is written says about itself, whatever its format."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from pssr.io.stack import Place

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
    """

    sizes: Mapping[str, int]
    dtype: np.dtype
    channels: tuple[str, ...]
    colours: tuple[str | None, ...]
    spacing_um: Mapping[str, float] = field(default_factory=dict)
    interval_s: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

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

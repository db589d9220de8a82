"""OME-Zarr 0.5: a folder in which no chunk belongs to two planes.

Format: OME-NGFF 0.5 (https://ngff.openmicroscopy.org/0.5), on Zarr version 3.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from pssr.io.content import Content
from pssr.io.stack import AXES, Place

CHUNK_PX, COARSEST_PX = 1024, 256
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
KINDS = {"t": "time", "c": "channel"}
CODECS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    # With a checksum: else most changes of a byte would become other pixels, and no error.
    "zstd": [{"name": "zstd", "configuration": {"level": 3, "checksum": True}}],
    "deflate": [{"name": "gzip", "configuration": {"level": 6}}],
}


class ZarrSink:
    """Planes as chunks, each at several resolutions.

    Args:
        part: the folder.
        content: what it holds.
        compression: "none", "zstd" or "deflate".
    """

    def __init__(self, part: Path, content: Content, *, compression: str) -> None:
        self.part, self.content, self.compression = part, content, compression
        self.bytes = content.bytes if compression == "none" else 0
        self.scratch: tuple[Path, ...] = ()
        self._shapes = _pyramid(content.shape)
        self._range = [(np.inf, -np.inf)] * content.sizes["C"]

    def begin(self) -> None:
        """Make the group and an array for each resolution."""
        zarr.create_group(store=self.part, zarr_format=3)
        for level, (y, x) in enumerate(self._shapes):
            t, c, z = (self.content.sizes[axis] for axis in "TCZ")
            zarr.create_array(
                store=self.part,
                name=str(level),
                shape=(t, c, z, y, x),
                chunks=(1, 1, 1, min(y, CHUNK_PX), min(x, CHUNK_PX)),
                dtype=self.content.dtype,
                compressors=CODECS[self.compression] or None,
                dimension_names=[axis.lower() for axis in AXES],
                zarr_format=3,
                # A chunk of zeros is written too: one that is absent was never reached.
                config={"write_empty_chunks": True},
            )
        self._describe()
        self.reopen()

    def reopen(self) -> None:
        """Open what was begun."""
        group: Any = zarr.open_group(store=self.part, mode="r+", zarr_format=3)
        config = {"write_empty_chunks": True}
        self._levels: list[Any] = [
            group[str(level)].with_config(config) for level in range(len(self._shapes))
        ]

    def put(self, place: Place, plane: np.ndarray) -> int:
        """Write a plane and its coarser copies; the checksum of the plane."""
        self._see(place, plane)
        coarse = plane
        for level, array in enumerate(self._levels):
            coarse = _halved(coarse) if level else plane
            array[place] = coarse
        return zlib.crc32(np.ascontiguousarray(plane).tobytes())

    def put_part(self, place: Place, at: tuple[slice, slice], plane: np.ndarray) -> None:
        """Write a part of a plane, without its coarser copies; no two writers may share a chunk.

        Args:
            place: T, C and Z.
            at: rows and columns.
            plane: the pixels there.
        """
        self._see(place, plane)
        self._levels[0][(*place, *at)] = plane

    def put_coarser(self, place: Place) -> None:
        """Write the coarser copies of a plane that is complete."""
        coarse = self._levels[0][place]
        for array in self._levels[1:]:
            coarse = _halved(coarse)
            array[place] = coarse

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Lowest and highest value written, of each channel."""
        return list(self._range)

    def see_ranges(self, ranges: Sequence[Sequence[float]]) -> None:
        """Take in what other writers have written.

        Args:
            ranges: lowest and highest value of each channel.
        """
        pairs = zip(self._range, ranges, strict=True)
        self._range = [(min(low, one[0]), max(high, one[1])) for (low, high), one in pairs]

    def checksum(self, place: Place) -> int:
        """Of what is stored there, if all of its copies are."""
        try:
            plane, copies = self._levels[0][place], [array[place] for array in self._levels[1:]]
        except (OSError, ValueError, RuntimeError, zlib.error):
            return -1
        coarse = plane
        for copy in copies:
            coarse = _halved(coarse)
            if not np.array_equal(copy, coarse, equal_nan=self.content.dtype.kind == "f"):
                return -1
        self._see(place, plane)
        return zlib.crc32(np.ascontiguousarray(plane).tobytes())

    def close(self) -> None:
        """Nothing is held open."""

    def finish(self) -> None:
        """Write what the file says about itself, now that the range of its values is known."""
        self._describe(omero=self._omero())

    def _describe(self, **more: Any) -> None:
        """From the beginning, so that planes can be looked at before all of them are there."""
        group = zarr.open_group(store=self.part, mode="r+", zarr_format=3)
        group.attrs.put(
            {
                "ome": {"version": "0.5", "multiscales": [self._multiscale()], **more},
                "pssr": self.content.provenance_text(),
            }
        )

    def _see(self, place: Place, plane: np.ndarray) -> None:
        low, high = self._range[place[1]]
        self._range[place[1]] = min(low, float(plane.min())), max(high, float(plane.max()))

    def _multiscale(self) -> dict[str, Any]:
        known = {
            **self.content.spacing_um,
            **({"T": self.content.interval_s} if self.content.interval_s else {}),
        }
        axes = []
        for axis in map(str.lower, AXES):
            unit = {"unit": UNITS[axis]} if axis.upper() in known else {}
            axes.append({"name": axis, "type": KINDS.get(axis, "space"), **unit})
        datasets = []
        for level in range(len(self._shapes)):
            times = [2**level if axis in "YX" else 1 for axis in AXES]
            scale = [known.get(axis, 1.0) * n for axis, n in zip(AXES, times, strict=True)]
            # The centre of a coarse pixel lies between those of the fine ones that it is the mean of.
            shift = [
                known.get(axis, 1.0) * (n - 1) / 2 + self.content.origin_um.get(axis, 0.0)
                for axis, n in zip(AXES, times, strict=True)
            ]
            steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
            datasets.append({"path": str(level), "coordinateTransformations": steps})
        return {"name": "restored", "axes": axes, "datasets": datasets, "type": "local mean"}

    def _omero(self) -> dict[str, Any]:
        channels = []
        for name, colour, (low, high) in zip(
            self.content.channels, self.content.colours, self._range, strict=True
        ):
            window = {"min": low, "max": high, "start": low, "end": high}
            shown = {"label": name, "color": (colour or "#FFFFFF")[1:], "active": True, "window": window}
            channels.append(shown)
        return {"channels": channels}


def _pyramid(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Each half as fine as the one before, until a plane fits a screen."""
    shapes = [shape]
    while max(shapes[-1]) > COARSEST_PX and min(shapes[-1]) > 1:
        y, x = shapes[-1]
        shapes.append((y // 2, x // 2))
    return shapes


def _halved(plane: np.ndarray) -> np.ndarray:
    """The mean of each two by two pixels; an odd last row or column is left out."""
    y, x = (side // 2 for side in plane.shape)
    mean = plane[: 2 * y, : 2 * x].reshape(y, 2, x, 2).mean((1, 3), dtype=np.float64)
    coarse: np.ndarray = (np.rint(mean) if plane.dtype.kind in "ui" else mean).astype(plane.dtype)
    return coarse

"""TIFF files of fixed layout into which planes are put in any order: OME-TIFF and ImageJ hyperstacks."""

import json
import warnings
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from pssr.errors import WriteError
from pssr.io.atomic import write_all
from pssr.io.content import NAMESPACE, SOFTWARE, Content
from pssr.io.stack import Place
from pssr.io.tiff_check import page_offsets

CLASSIC_BYTES = 4_000_000_000  # above, 32-bit offsets do not reach: BigTIFF
DEFLATE_LEVEL, ZSTD_LEVEL = 6, 3
STRIP_OFFSETS, STRIP_BYTES = 273, 279


class RunSink:
    """Planes that lie one behind the other: the file has its full size from the start.

    Args:
        part: the file.
        content: what it holds.
        imagej: whether it is an ImageJ hyperstack; else OME-TIFF.
    """

    def __init__(self, part: Path, content: Content, *, imagej: bool = False) -> None:
        self.part, self.content, self.imagej = part, content, imagej
        self.bytes = content.bytes
        self.scratch: tuple[Path, ...] = ()
        self._stored = content.dtype.newbyteorder("<")

    def begin(self) -> None:
        """Write all directories; pixels are holes as yet."""
        large = self.content.bytes > CLASSIC_BYTES and not self.imagej
        ome, imagej = not self.imagej, self.imagej
        with warnings.catch_warnings():
            # It warns that ImageJ reads one page, and the bytes behind it, of files over 4 GB: so it does.
            warnings.filterwarnings("ignore", "<tifffile.* truncating ImageJ file")
            self._begin(ome=ome, imagej=imagej, bigtiff=large)
        self._file = self.part.open("r+b", buffering=0)

    def _begin(self, **kind: bool) -> None:
        shape = _imagej_shape(self.content) if self.imagej else tuple(self.content.sizes.values())
        with tifffile.TiffWriter(self.part, mode="x", byteorder="<", **kind) as tif:
            place = tif.write(
                shape=shape, dtype=self.content.dtype, photometric="minisblack", software=SOFTWARE,
                metadata=_imagej_metadata(self.content) if self.imagej else _ome_metadata(self.content),
                returnoffset=True, **(_resolution(self.content) if self.imagej else {}),
            )  # fmt: skip
        if place is None:
            raise WriteError(
                f"{self.part}: its planes do not lie one behind the other; report this, with the sizes"
            )
        self._start = place[0]

    def reopen(self) -> None:
        """Go on with a file that was begun."""
        with tifffile.TiffFile(self.part) as tif:
            self._start = tif.pages.first.dataoffsets[0]
        self._file = self.part.open("r+b", buffering=0)

    def put(self, place: Place, plane: np.ndarray) -> int:
        """Write a plane to its place; the checksum of what is stored."""
        # Its own bytes, without a copy.
        data = np.ascontiguousarray(plane, dtype=self._stored).reshape(-1).view(np.uint8).data
        self._file.seek(self._at(place))
        write_all(self._file, data)
        return zlib.crc32(data)

    def checksum(self, place: Place) -> int:
        """Of what is stored there."""
        self._file.seek(self._at(place))
        return zlib.crc32(self._file.read(self.content.plane_bytes))

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_file"):
            self._file.close()

    def finish(self) -> None:
        """Nothing is left to write."""

    def _at(self, place: Place) -> int:
        t, c, z = place
        sizes = self.content.sizes
        number = (t * sizes["Z"] + z) * sizes["C"] + c if self.imagej else self.content.number(place)
        return int(self._start + number * self.content.plane_bytes)


class CompressedSink:
    """OME-TIFF of compressed planes: each is put behind the others, and its directory told where.

    Args:
        part: the file.
        content: what it holds.
        compression: "deflate" or "zstd".
    """

    def __init__(self, part: Path, content: Content, *, compression: str) -> None:
        self.part, self.content = part, content
        self.bytes = 0
        self.scratch: tuple[Path, ...] = ()
        self.compression = compression
        self._predicted = content.dtype.kind in "ui"

    def begin(self) -> None:
        """Write all directories, each with a byte of nothing for pixels."""
        large = self.content.bytes > CLASSIC_BYTES
        with tifffile.TiffWriter(self.part, mode="x", byteorder="<", ome=True, bigtiff=large) as tif:
            tif.write(
                (b"\0" for _ in range(self.content.planes)),
                shape=tuple(self.content.sizes.values()),
                dtype=self.content.dtype,
                photometric="minisblack",
                software=SOFTWARE,
                compression={"deflate": "zlib", "zstd": "zstd"}[self.compression],
                predictor=self._predicted,
                rowsperstrip=self.content.sizes["Y"],
                metadata=_ome_metadata(self.content),
            )
        self.reopen()

    def reopen(self) -> None:
        """Find where each directory says where its pixels are."""
        self._tags: list[tuple[int, int]] = []
        offsets = page_offsets(self.part)
        with tifffile.TiffFile(self.part) as tif:
            for number, offset in enumerate(offsets):
                tif.filehandle.seek(offset)
                tags = tifffile.TiffPage(tif, number).tags
                self._tags.append((tags[STRIP_OFFSETS].valueoffset, tags[STRIP_BYTES].valueoffset))
            self._bytes = tif.tiff.offsetsize
        self._file = self.part.open("r+b", buffering=0)

    def put(self, place: Place, plane: np.ndarray) -> int:
        """Write a plane behind the others; the checksum of what is stored."""
        data = self._encoded(plane)
        at = self._file.seek(0, 2)
        write_all(self._file, data)
        for where, value in zip(self._tags[self.content.number(place)], (at, len(data)), strict=True):
            self._file.seek(where)
            write_all(self._file, value.to_bytes(self._bytes, "little"))
        return zlib.crc32(data)

    def checksum(self, place: Place) -> int:
        """Of what is stored there."""
        found = []
        for where in self._tags[self.content.number(place)]:
            self._file.seek(where)
            found.append(int.from_bytes(self._file.read(self._bytes), "little"))
        self._file.seek(found[0])
        return zlib.crc32(self._file.read(found[1]))

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_file"):
            self._file.close()

    def finish(self) -> None:
        """Nothing is left to write."""

    def _encoded(self, plane: np.ndarray) -> bytes:
        little = np.ascontiguousarray(plane, dtype=self.content.dtype.newbyteorder("<"))
        if self._predicted:
            little = imagecodecs.delta_encode(little, axis=-1)
        if self.compression == "zstd":
            return bytes(imagecodecs.zstd_encode(little.tobytes(), level=ZSTD_LEVEL))
        return bytes(imagecodecs.deflate_encode(little.tobytes(), level=DEFLATE_LEVEL))


def _ome_metadata(content: Content) -> dict[str, Any]:
    """In the words of OME as tifffile takes them."""
    channel: dict[str, Any] = {"Name": list(content.channels)}
    if any(content.colours):
        channel["Color"] = [_ome_colour(colour or "#FFFFFF") for colour in content.colours]
    known: dict[str, Any] = {"axes": "TCZYX", "Channel": channel}
    for axis, um in content.spacing_um.items():
        known |= {f"PhysicalSize{axis}": um, f"PhysicalSize{axis}Unit": "µm"}
    if content.interval_s is not None:
        known |= {"TimeIncrement": content.interval_s, "TimeIncrementUnit": "s"}
    words = {key: str(value) for key, value in content.provenance.items()}
    if content.origin_um:
        words["origin_um"] = json.dumps(dict(content.origin_um))
    if words:
        known["MapAnnotation"] = {"Namespace": NAMESPACE, **words}
    return known


def _ome_colour(colour: str) -> int:
    """OME's signed 32-bit RGBA, opaque."""
    return int.from_bytes(bytes.fromhex(colour[1:]) + b"\xff", "big", signed=True)


def _imagej_shape(content: Content) -> tuple[int, ...]:
    return tuple(content.sizes[axis] for axis in "TZCYX")


def _imagej_metadata(content: Content) -> dict[str, Any]:
    """In the words of ImageJ as tifffile takes them."""
    names = [name for _ in range(content.sizes["T"] * content.sizes["Z"]) for name in content.channels]
    known: dict[str, Any] = {"axes": "TZCYX", "Labels": names, "Info": content.provenance_text()}
    # ImageJ has one unit for all axes, and takes a pixel of unknown size for one of size 1.
    if {"X", "Y"} <= content.spacing_um.keys():
        known["unit"] = "um"
        if "Z" in content.spacing_um:
            known["spacing"] = content.spacing_um["Z"]
    if content.interval_s is not None:
        known |= {"finterval": content.interval_s, "tunit": "s"}
    if any(content.colours):
        known["LUTs"] = [_table(colour or "#FFFFFF") for colour in content.colours]
    if content.sizes["C"] > 1:
        known["mode"] = "composite"
    return known


def _table(colour: str) -> np.ndarray:
    """From black to the colour."""
    last = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)[:, None]
    return np.asarray(np.rint(last * np.linspace(0, 1, 256)), dtype=np.uint8)


def _resolution(content: Content) -> dict[str, Any]:
    """Pixels per micrometre, where both are known."""
    if not {"X", "Y"} <= content.spacing_um.keys():
        return {}
    return {"resolution": (1 / content.spacing_um["X"], 1 / content.spacing_um["Y"])}

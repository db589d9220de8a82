"""Formats to look at: a folder of PNG files, and MP4 for slides and browsers."""

import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from pssr.io.atomic import write_all
from pssr.io.content import SOFTWARE, Content
from pssr.io.stack import Place
from pssr.io.video import write_mp4

SAMPLES = 2_000_000  # pixels of a movie, from which the shown range is found
DARKEST, BRIGHTEST = 0.1, 99.9  # percentiles shown black and white
FRAMES_PER_S = 10.0


class PngSink:
    """A folder with a PNG file for each plane.

    Args:
        part: the folder.
        content: what it holds; 8 or 16 bits.
    """

    def __init__(self, part: Path, content: Content) -> None:
        self.part, self.content = part, content
        self.bytes = 0
        self.scratch: tuple[Path, ...] = ()
        self._info = PngImagePlugin.PngInfo()
        self._info.add_text("Software", SOFTWARE)
        about = {
            "channels": content.channels,
            "spacing_um": dict(content.spacing_um),
            "interval_s": content.interval_s,
        }
        self._info.add_text("Description", json.dumps(about | {"made": content.provenance_text()}))

    def begin(self) -> None:
        """Make the folder."""
        self.part.mkdir()

    def reopen(self) -> None:
        """Nothing is held open."""

    def put(self, place: Place, plane: np.ndarray) -> int:
        """Write a plane; the checksum of its file."""
        um = [self.content.spacing_um.get(axis, 0.0) for axis in "XY"]
        # PNG counts pixels per metre, in 31 bits.
        per_inch = {"dpi": tuple(25400 / n for n in um)} if min(um) > 1e6 / 2**31 else {}
        Image.fromarray(plane).save(self._file(place), format="PNG", pnginfo=self._info, **per_inch)
        return self.checksum(place)

    def checksum(self, place: Place) -> int:
        """Of the file of a plane."""
        try:
            return zlib.crc32(self._file(place).read_bytes())
        except FileNotFoundError:
            return -1

    def close(self) -> None:
        """Nothing is held open."""

    def finish(self) -> None:
        """Nothing is left to write."""

    def _file(self, place: Place) -> Path:
        """Such as T0012_C1.png: axes of length 1 are left out."""
        named = [
            f"{axis}{k:0{len(str(self.content.sizes[axis] - 1))}d}"
            for axis, k in zip("TCZ", place, strict=True)
            if self.content.sizes[axis] > 1
        ]
        return self.part / f"{'_'.join(named) or 'plane'}.png"


class Mp4Sink:
    """A movie of one channel: planes wait as they are, and are shown on one scale when all are there.

    Args:
        part: the file in which planes wait, and which becomes the movie.
        content: what it holds; one channel along T or along Z.
    """

    def __init__(self, part: Path, content: Content) -> None:
        self.part, self.content = part, content
        self._waiting = part.with_name(part.name + ".planes")
        self.bytes = content.bytes
        self.scratch: tuple[Path, ...] = (self._waiting,)

    def begin(self) -> None:
        """Make room for all planes."""
        self.part.touch(exist_ok=False)
        with self._waiting.open("xb") as file:
            file.truncate(self.content.bytes)
        self.reopen()

    def reopen(self) -> None:
        """Go on with planes that wait."""
        self._file = self._waiting.open("r+b", buffering=0)

    def put(self, place: Place, plane: np.ndarray) -> int:
        """Let a plane wait; its checksum."""
        data = np.ascontiguousarray(plane).tobytes()
        self._file.seek(self.content.number(place) * self.content.plane_bytes)
        write_all(self._file, data)
        return zlib.crc32(data)

    def checksum(self, place: Place) -> int:
        """Of a plane that waits."""
        return zlib.crc32(self._plane(self.content.number(place)).tobytes())

    def close(self) -> None:
        """Let go of the planes, which nobody needs without the journal or with the movie made."""
        if hasattr(self, "_file"):
            self._file.close()

    def finish(self) -> None:
        """Encode all planes on one scale."""
        planes = range(self.content.planes)
        step = max(1, self.content.bytes // self.content.dtype.itemsize // SAMPLES)
        seen = np.concatenate([self._plane(k).ravel()[::step].astype(np.float64) for k in planes])
        low, high = np.percentile(
            seen[np.isfinite(seen)] if np.isfinite(seen).any() else [0.0], [DARKEST, BRIGHTEST]
        )
        write_mp4(
            self.part,
            (self._plane(k) for k in planes),
            low=float(low),
            high=float(max(high, low + 1e-9)),
            frames_per_s=FRAMES_PER_S,
            comment=self.content.provenance_text(),
            overwrite=True,
        )
        self._file.close()
        self._waiting.unlink()

    def _plane(self, number: int) -> np.ndarray:
        self._file.seek(number * self.content.plane_bytes)
        data = self._file.read(self.content.plane_bytes)
        return np.frombuffer(data, self.content.dtype).reshape(self.content.shape)

"""One OME-Zarr that several processes fill: made by one, joined by all, and put under its name once.

A mark beside the chunks says of each block that it is complete. A process may die at any moment: its block is written again,
with the same pixels. Marks lie in `<name>.part/.pssr`, and in `<name>.part.done` once all blocks are complete. Then the folder is
renamed twice: to a name that one process alone knows, so that nobody else writes into it or renames it, and to its own.
"""

import glob
import itertools
import json
import math
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pssr.errors import ConfigError, WriteError
from pssr.io.atomic import write_whole, writing
from pssr.io.open import open_stack
from pssr.io.replace import remove, replace_with
from pssr.io.write import StackWriter
from pssr.io.write_zarr import ZarrSink

MARKS, ABOUT, DONE = ".pssr", "about.json", ".done"
TRIES, WAIT_S = 20, 0.05  # while another process puts an unfinished file in its place, or takes it away


class FinishedElsewhere(WriteError):
    """Another process has completed the file, or has begun it anew, while this one was at work."""


class UnfinishedZarr:
    """An OME-Zarr that lacks blocks, and the marks of those that it has.

    Args:
        writer: knows the name and the content; not begun.
        compression: of the chunks; None is zstd.
        blocks: how many there are.

    Raises:
        ConfigError: another format.
    """

    def __init__(self, writer: StackWriter, compression: str | None, blocks: int) -> None:
        if writer.format != "ome-zarr":
            raise ConfigError(
                f"{writer.path}: several processes can only fill an OME-Zarr; name it .ome.zarr"
            )
        self.path, self._content = writer.path, writer.content
        self._part, self._marks, self._done = _places(self.path)
        self._compression = compression or "zstd"
        self._fingerprint = f"{writer.fingerprint} {blocks}"
        self._replaces = self.path.exists()
        self._about: Any = None
        self.sink = ZarrSink(self._part, self._content, compression=self._compression)

    def complete(self) -> bool:
        """Whether there is one under its name that was made by the same model of the same stack."""
        there, sizes = _attributes(self.path), self._content.sizes
        return bool(
            there.get("pssr") == self._content.provenance_text() and open_stack(self.path).sizes == sizes
        )

    def begin(self) -> None:
        """Make it, or join the one that another process has made.

        Raises:
            WriteError: something else is in the way.
        """
        for _ in range(TRIES):
            if not self._part.exists() and not self._given_back():
                self._make()
            with suppress(FinishedElsewhere):
                return self.join()
            # Between two states of another process, or somebody else's.
            time.sleep(WAIT_S)
        raise WriteError(
            f"{self._part}: is in the way, and no file that several processes fill; move it away"
        )

    def join(self) -> None:
        """Join the one that another process has made.

        Raises:
            FinishedElsewhere: it is not there any more.
            WriteError: it is of other settings.
        """
        about = _read(self._marks / ABOUT) or _read(self._done / ABOUT)
        if about is None or not self._is_there():
            raise self._gone()
        if about["fingerprint"] != self._fingerprint:
            raise WriteError(
                f"{self._part}: is an unfinished file of other settings; go on with those, or move it away"
            )
        self._about = about
        self.sink = ZarrSink(self._part, self._content, compression=self._compression)
        try:
            self.sink.reopen()
        except (FileNotFoundError, KeyError) as error:
            raise self._gone() from error

    def _make(self) -> None:
        """All at once: made under a name of its own, then renamed, which one process alone succeeds in."""
        if self.path.exists() and not self._replaces:
            raise self._gone()
        own = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}.part")
        about = {
            "fingerprint": self._fingerprint, "provenance": dict(self._content.provenance), "made": own.name
        }  # fmt: skip
        remove(self._done)
        try:
            with writing(self.path):
                ZarrSink(own, self._content, compression=self._compression).begin()
                (own / MARKS).mkdir()
                write_whole(own / MARKS / ABOUT, json.dumps(about).encode())
                own.rename(self._part)
        except WriteError:
            if not self._part.exists():
                raise
        finally:
            remove(own)

    def marked(self) -> set[int] | None:
        """Numbers of the blocks that are complete; None where the whole file is."""
        if _read(self._marks / ABOUT) is None:
            return None
        return {int(path.stem) for path in self._marks.glob("*.json") if path.stem.isdecimal()}

    def check(self) -> None:
        """Before something is written: too late, it would make the folder anew, or fill one that somebody else has begun.

        Raises:
            FinishedElsewhere: it is not there any more.
        """
        if _read(self._marks / ABOUT) != self._about:
            self._clear()
            raise self._gone()

    def mark(self, number: int) -> None:
        """Say that a block is complete, and which values all blocks of this process have.

        Args:
            number: of the block.
        """
        seen = [[low, high] if low <= high else None for low, high in self.sink.ranges]
        self.check()
        try:
            write_whole(self._marks / f"{number}.json", json.dumps(seen).encode())
        except WriteError:
            self.check()
            raise

    def describe(self, *, coarser: bool) -> None:
        """Write what needs all blocks; nothing is lost if two processes do so.

        Args:
            coarser: whether the coarser copies of planes are absent as yet.
        """
        try:
            with writing(self.path):
                for mark in sorted(self._marks.glob("*.json")):
                    if mark.stem.isdecimal():
                        self.sink.see_ranges([pair or (math.inf, -math.inf) for pair in _read(mark)])
                sizes = self._content.sizes
                for t, c, z in itertools.product(*(range(sizes[axis] if coarser else 0) for axis in "TCZ")):
                    self.check()
                    self.sink.put_coarser((t, c, z))
                self.check()
                self.sink.finish()
        except (WriteError, TypeError):
            # Another one was faster, and has taken the marks away.
            if _read(self._marks / ABOUT) == self._about:
                raise

    def publish(self, *, overwrite: bool) -> None:
        """Put it under its name.

        Args:
            overwrite: whether a file there may be replaced.
        """
        try:
            self._marks.rename(self._done)
        except FileNotFoundError:
            # Whoever has moved them is about to do the rest, unless it has died.
            _wait_while(self._is_there)
        if self._is_there():
            self._name(overwrite)
        _wait_while(self._taken)
        self._clear()
        if not self.path.exists():
            raise self._gone()
        remove(self._done, *self.path.parent.glob(f"{glob.escape(self.path.name)}.{'?' * 32}.part"))

    def _name(self, overwrite: bool) -> None:
        """Rename it to one of its own first, which one process alone succeeds in."""
        own = self._part.with_name(f"{self._part.name}.{uuid.uuid4().hex}")
        with writing(self.path), suppress(FileNotFoundError):
            self._part.rename(own)
        if not own.exists():
            return
        try:
            with writing(self.path):
                # What was being written when a process died; under this name there can be no more of it.
                remove(*own.rglob("*.partial"))
                replace_with(self.path, own, overwrite)
        except WriteError:
            # One that began in this moment may have taken it back, and ends it.
            if own.exists():
                self._given_back()
                raise

    def _taken(self) -> list[Path]:
        """What a process is about to put under its name, unless it has died."""
        return list(self._part.parent.glob(f"{glob.escape(self._part.name)}.{'?' * 32}"))

    def _given_back(self) -> bool:
        """Whether it is where it can be joined again, after it was to get its name and did not."""
        for own in self._taken():
            with suppress(OSError):
                own.rename(self._part)
                return True
        return False

    def _is_there(self) -> bool:
        return (self._part / "0" / "zarr.json").exists()

    def _clear(self) -> None:
        """What came too late to be written into the file, and has made its folder anew."""
        if self.path.exists() and not self._is_there():
            remove(self._part)

    def _gone(self) -> FinishedElsewhere:
        return FinishedElsewhere(
            f"{self.path}: was completed, or begun anew, by another process; look at what is there"
        )


def _wait_while(true: Callable[[], object]) -> None:
    """For a second at most."""
    for _ in range(TRIES):
        if not true():
            return
        time.sleep(WAIT_S)


def lacks_its_name(writer: StackWriter) -> bool:
    """Whether all blocks of an unfinished file are complete.

    Args:
        writer: knows the name and the content; not begun.
    """
    _, marks, done = _places(writer.path)
    for folder in (marks, done):
        begun, _, blocks = (_read(folder / ABOUT) or {}).get("fingerprint", "").rpartition(" ")
        if begun == writer.fingerprint:
            return len([path for path in folder.glob("*.json") if path.stem.isdecimal()]) == int(blocks)
    return False


def begun_precision(target: Path) -> str | None:
    """The precision in which a shared file was begun by another process; None where there is none."""
    _, marks, done = _places(target)
    about = _read(marks / ABOUT) or _read(done / ABOUT) or {}
    precision = about.get("provenance", {}).get("precision")
    return str(precision) if precision else None


def finished_precision(target: Path) -> str | None:
    """The precision in which a file was restored; None where it does not say so."""
    with suppress(LookupError, TypeError, ValueError, AttributeError):
        return str(json.loads(_attributes(target)["pssr"])["precision"])
    return None


def _attributes(path: Path) -> dict[str, Any]:
    found = (_read(path / "zarr.json") or {}).get("attributes", {})
    return dict(found)


def _places(path: Path) -> tuple[Path, Path, Path]:
    """Of the unfinished file, its marks, and its marks once all of it is complete."""
    part = path.with_name(path.name + ".part")
    return part, part / MARKS, part.with_name(part.name + DONE)


def _read(path: Path) -> Any:
    """A small file as JSON; None where it is not there, or not whole."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None

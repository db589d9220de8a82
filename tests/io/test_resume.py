"""A writer that was killed goes on; two never write one file; a failed write is an error every time."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from pssr.errors import WriteError
from pssr.io.open import open_stack
from pssr.io.write import StackWriter

SIZES = {"T": 6, "C": 1, "Z": 1, "Y": 40, "X": 30}
WAYS = [
    ("a.ome.tif", "ome-tiff", "none"), ("a.ome.tif", "ome-tiff", "zstd"), ("a.tif", "imagej", "none"),
    ("a.zarr", "ome-zarr", "zstd"), ("a.mp4", "mp4", "none"), ("frames", "png", "none"),
]  # fmt: skip
PLANES = np.random.default_rng(0).integers(0, 65535, (6, 40, 30), np.uint16)


def writer(path: Path, format: str | None = None, compression: str | None = None, **changed) -> StackWriter:
    usual = {"sizes": SIZES, "dtype": np.uint16, "channels": ["mito"], "resume": True}
    return StackWriter(path, **usual | {"format": format, "compression": compression} | changed)


def content(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def whole(path: Path, format: str, compression: str) -> dict[str, bytes]:
    with writer(path, format, compression) as out:
        for t, plane in enumerate(PLANES):
            out.write(plane, T=t)
    return content(path)


KILLED = """
    import os, signal, sys
    import numpy as np
    from pathlib import Path
    from pssr.io.write import StackWriter
    planes = np.random.default_rng(0).integers(0, 65535, (6, 40, 30), np.uint16)
    sizes = {"T": 6, "C": 1, "Z": 1, "Y": 40, "X": 30}
    writer = StackWriter(sys.argv[1], sizes=sizes, dtype=np.uint16, channels=["mito"], resume=True,
                         format=sys.argv[2], compression=sys.argv[3])
    with writer as out:
        for t in range(3):
            out.write(planes[t], T=t)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def kill(path: Path, format: str, compression: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), format, compression]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not path.exists()


@pytest.mark.parametrize(("name", "format", "compression"), WAYS)
def test_after_a_kill_only_what_is_missing_is_written(tmp_path: Path, name, format, compression):
    kill(tmp_path / name, format, compression)
    with writer(tmp_path / name, format, compression) as out:
        assert out.done == {(0, 0, 0), (1, 0, 0), (2, 0, 0)}
        for t in (3, 4, 5):
            out.write(PLANES[t], T=t)
    (tmp_path / "other").mkdir()
    expected = whole(tmp_path / "other" / name, format, compression)
    if format == "ome-tiff":
        # Each OME-TIFF has an identifier of its own.
        np.testing.assert_array_equal(list(open_stack(tmp_path / name).movie()), PLANES)
    else:
        assert content(tmp_path / name) == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "other"])


@pytest.mark.parametrize(("name", "format", "compression"), WAYS)
def test_a_plane_that_does_not_fit_its_checksum_is_written_again(tmp_path: Path, name, format, compression):
    """As after a power failure, when the journal reached the disk and a plane did not."""
    kill(tmp_path / name, format, compression)
    journal = tmp_path / f"{name}.part.log"
    lines = journal.read_text().splitlines()
    lines[2] = lines[2][:-1] + "0]"
    journal.write_text("\n".join([*lines, "[3, 0, 0, 77]", "[4, 0,"]))
    with writer(tmp_path / name, format, compression) as out:
        assert out.done == {(0, 0, 0), (2, 0, 0)}
        for t in (1, 3, 4, 5):
            out.write(PLANES[t], T=t)
    if format in ("ome-tiff", "imagej", "ome-zarr"):
        np.testing.assert_array_equal(list(open_stack(tmp_path / name).movie()), PLANES)


@pytest.mark.parametrize(
    "changed", [{"sizes": SIZES | {"T": 7}}, {"provenance": {"model": "b"}}, {"channels": ["er"]}]
)
def test_something_else_is_begun_anew(tmp_path: Path, changed):
    kill(tmp_path / "a.ome.tif", "ome-tiff", "none")
    with (
        pytest.raises(WriteError, match="planes were not written"),
        writer(tmp_path / "a.ome.tif", **changed) as out,
    ):
        assert out.done == set()


def test_without_resume_nothing_of_the_past_is_used_or_left(tmp_path: Path):
    kill(tmp_path / "a.ome.tif", "ome-tiff", "none")
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "a.ome.tif", resume=False) as out:
        assert out.done == set()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_is_done_for_the_next_try(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "a.ome.tif") as out:
        out.write(PLANES[5], T=5)
        raise KeyboardInterrupt
    assert not (tmp_path / "a.ome.tif").exists()
    with (
        pytest.raises(WriteError, match="5 of 6 .* kept for another try"),
        writer(tmp_path / "a.ome.tif") as out,
    ):
        assert out.done == {(5, 0, 0)}


def test_two_processes_do_not_write_one_file(tmp_path: Path):
    program = textwrap.dedent(KILLED).replace(
        "os.kill(os.getpid(), signal.SIGKILL)", "print('in', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.ome.tif"), "ome-tiff", "none"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with (
            pytest.raises(WriteError, match="is being written by another process"),
            writer(tmp_path / "a.ome.tif"),
        ):
            pass
        other.kill()
    with pytest.raises(WriteError, match="3 of 6"), writer(tmp_path / "a.ome.tif") as out:
        assert len(out.done) == 3


LIMITED = """
    import resource, signal, sys
    import numpy as np
    from pssr.errors import WriteError
    from pssr.io.write import StackWriter
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    planes = np.random.default_rng(0).integers(0, 65535, (6, 40, 30), np.uint16)
    sizes = {"T": 6, "C": 1, "Z": 1, "Y": 40, "X": 30}
    try:
        with StackWriter(sys.argv[1], sizes=sizes, dtype=np.uint16, channels=["mito"], format=sys.argv[2],
                         compression=sys.argv[3], overwrite=True) as out:
            for t in range(6):
                out.write(planes[t], T=t)
    except WriteError as error:
        print(error)
        sys.exit(1)
"""


@pytest.mark.parametrize(("name", "format", "compression"), [*WAYS[:4], WAYS[5]])
def test_wherever_a_write_fails_it_is_an_error_or_the_file_is_whole(
    tmp_path: Path, name, format, compression
):
    """A limit on the size of files stands for a disk that is full, at many places of the file."""
    whole_at = {name: len(part) for name, part in whole(tmp_path / name, format, compression).items()}
    before = content(tmp_path / name)
    failed = 0
    for limit in np.unique(np.geomspace(1, 1.05 * max(whole_at.values()), 7).astype(int)):
        words = [str(tmp_path / name), format, compression, str(limit)]
        found = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(LIMITED), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == (1 if "cannot be written" in found.stdout else 0), found.stderr
        failed += found.returncode
        if found.returncode == 0 and format == "ome-tiff":
            # A new file, with an identifier of its own.
            np.testing.assert_array_equal(list(open_stack(tmp_path / name).movie()), PLANES)
            before = content(tmp_path / name)
        assert content(tmp_path / name) == before
        assert [p.name for p in tmp_path.iterdir()] == [name]
    assert failed >= 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_first(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="cannot be written to"):
        writer(tmp_path / "a.ome.tif")


def test_a_folder_that_is_no_stack_is_never_replaced(tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("words")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/notes.txt").write_text("words")
    for name, format in (("thesis", "png"), ("a.zarr", "ome-zarr")):
        with pytest.raises(WriteError, match="holds other things than a stack"):
            writer(tmp_path / name, format, overwrite=True)


@pytest.mark.parametrize(("name", "format", "compression"), [WAYS[3], WAYS[5]])
def test_a_folder_is_replaced_only_when_its_successor_is_whole(tmp_path: Path, name, format, compression):
    before = whole(tmp_path / name, format, compression)
    with (
        pytest.raises(KeyboardInterrupt),
        writer(tmp_path / name, format, resume=False, overwrite=True) as out,
    ):
        out.write(PLANES[0])
        raise KeyboardInterrupt
    assert content(tmp_path / name) == before
    with writer(tmp_path / name, format, overwrite=True) as out:
        for t in range(6):
            out.write(PLANES[5 - t], T=t)
    assert content(tmp_path / name) != before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_journals_cost_little(tmp_path: Path):
    """A thousand small planes in a second or two: nothing is forced to disk in between."""
    sizes, start = {"T": 1000, "C": 1, "Z": 1, "Y": 4, "X": 4}, time.perf_counter()
    with writer(tmp_path / "a.ome.tif", sizes=sizes) as out:
        for t in range(1000):
            out.write(np.zeros((4, 4), np.uint16), T=t)
    assert time.perf_counter() - start < 5


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights")
@pytest.mark.parametrize(("name", "format", "compression"), WAYS)
def test_a_link_in_place_of_the_unfinished_file_is_not_written_through(
    tmp_path: Path, name, format, compression
):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / name, format, compression) as out:
        out.write(PLANES[0])
        raise KeyboardInterrupt
    part, elsewhere = tmp_path / f"{name}.part", tmp_path / "elsewhere"
    part.rename(elsewhere)
    part.symlink_to("elsewhere")
    before = content(elsewhere)
    with writer(tmp_path / name, format, compression) as out:
        for t in range(6):
            out.write(PLANES[t], T=t)
    assert not (tmp_path / name).is_symlink()
    assert content(elsewhere) == before

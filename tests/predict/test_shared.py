"""One file filled by several processes: blocks, joining, dying at any moment, and finishing once."""

import itertools
import math
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from pssr.errors import ConfigError, WriteError
from pssr.io.open import open_stack
from pssr.io.write_zarr import CHUNK_PX
from pssr.predict.files import Plan, planned
from pssr.predict.job import Job
from pssr.predict.predictor import Predictor
from pssr.predict.shards import begun, restored_block, shared_files
from pssr.predict.shared import Block, SharedFiles, blocks_of, planes_of, restored_part
from pssr.predict.unfinished import FinishedElsewhere


@pytest.fixture(scope="module")
def predictor(run_folder) -> Predictor:
    return Predictor.load(run_folder, precision="fp32")


@pytest.fixture(scope="module")
def source(good_movie, tmp_path_factory) -> Path:
    low = good_movie[:10].reshape(10, 48, 2, 48, 2).mean((2, 4)).astype(np.uint16)
    path = tmp_path_factory.mktemp("low") / "low.ome.tif"
    tifffile.imwrite(path, low, metadata={"axes": "TYX"}, photometric="minisblack")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.ome.zarr"


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """Frames of 48 pixels in four regions, restored to chunks of 32 and to three resolutions."""
    monkeypatch.setattr("pssr.predict.shared.FRAMES", 3)
    monkeypatch.setattr("pssr.predict.shared.REGION_PX", 32)
    monkeypatch.setattr("pssr.io.write_zarr.CHUNK_PX", 32)
    monkeypatch.setattr("pssr.io.write_zarr.COARSEST_PX", 30)


class Worker:
    """What each process has of its own."""

    def __init__(self, predictor: Predictor, source: Path, target: Path, **words) -> None:
        self.plan: Plan = planned(predictor, source, target, words)
        self.files: SharedFiles = shared_files(predictor, self.plan, target, words)
        self.words = words
        self.engines = predictor.engines(spread=bool(self.plan.noises))

    def write(self, block: Block) -> None:
        list(restored_block(self.plan, self.engines, self.files, block, self.words))

    def restore(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.write(block)
            self.files.mark(block)

    def alone(self) -> Path:
        """The whole file by this one."""
        self.files.begin()
        self.restore(self.files.left())
        self.finish()
        return self.files.paths[0]

    def finish(self) -> None:
        self.files.finish(overwrite=self.words.get("overwrite", False))


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def copy(source: Path, into: Path) -> None:
    shutil.copytree(source, into, dirs_exist_ok=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def at_once(*works: Callable[[], object]) -> list[BaseException]:
    """What went wrong in some functions, all called in the same moment."""
    together, wrong = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        together.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told by the test
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@pytest.fixture(scope="module")
def some_job(predictor, source) -> Job:
    return planned(predictor, source, source.with_name("out.ome.zarr"), {}).job


spans = st.tuples(st.integers(0, 3000), st.integers(1, 3000)).map(lambda pair: slice(pair[0], sum(pair)))


@given(
    field=st.tuples(spans, spans), frames=st.integers(1, 40), channels=st.integers(1, 3),
    others=st.integers(1, 4), scale=st.integers(1, 5),
)  # fmt: skip
def test_blocks_cover_every_pixel_once_and_share_no_chunk(some_job, field, frames, channels, others, scale):
    job = replace(
        some_job, field=field, windows=tuple((t,) for t in range(frames)), others=tuple(range(others)),
        channels=tuple(range(channels)), scales=some_job.scales * channels,
    )  # fmt: skip
    blocks = blocks_of(job)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    high = [scale * (part.stop - part.start) for part in field]
    owner: dict[tuple[int, ...], int] = {}
    pixels = 0
    for block in blocks:
        at = restored_part(block, job, scale)
        pixels += len(block.run.targets) * math.prod(part.stop - part.start for part in at)
        edges = [min(side, CHUNK_PX) for side in high]
        chunks = [range(p.start // e, -(-p.stop // e)) for p, e in zip(at, edges, strict=True)]
        place = [[block.run.channel], [block.run.other], block.run.targets]
        for chunk in itertools.product(*place, *chunks):
            assert owner.setdefault(chunk, block.number) == block.number
    assert pixels == channels * others * frames * math.prod(high)
    assert len(owner) == channels * others * frames * math.prod(-(-side // CHUNK_PX) for side in high)


def halved(plane: np.ndarray) -> np.ndarray:
    y, x = (side // 2 for side in plane.shape)
    mean = plane[: 2 * y, : 2 * x].reshape(y, 2, x, 2).mean((1, 3), dtype=np.float64)
    return (np.rint(mean) if plane.dtype.kind == "u" else mean).astype(plane.dtype)


SETTINGS = [
    {},
    {"compare": True, "uncertainty": True, "t": slice(2, 8)},
    {"y": slice(5, 46), "x": slice(3, 48), "dtype": "float32"},
    {"t": 4, "compression": "none"},
]


@pytest.mark.parametrize("words", SETTINGS)
def test_blocks_of_whole_frames_become_the_very_file_of_a_plain_run(
    predictor, source, target, tmp_path: Path, monkeypatch, words
):
    monkeypatch.setattr("pssr.predict.shared.FRAMES", 3)
    monkeypatch.setattr("pssr.io.write_zarr.COARSEST_PX", 30)
    (tmp_path / "once").mkdir()
    once = predictor.predict_file(source, tmp_path / "once" / target.name, **words)
    worker = Worker(predictor, source, target, **words)
    worker.files.begin()
    worker.restore(worker.files.left()[::-1])
    worker.finish()
    for path in worker.files.paths:
        assert content(path) == content(once.with_name(path.name))
    assert names(tmp_path) == sorted(["once", *names(once.parent)])


def test_a_process_that_ended_between_two_renames_is_gone_on_with(predictor, source, target, tmp_path: Path):
    words = {"uncertainty": True, "t": slice(2, 8)}
    worker = Worker(predictor, source, target, **words)
    worker.files.begin()
    worker.restore(worker.files.left())
    restored, spread = worker.files.paths
    # As if its twin had been killed there: the spread has its name.
    worker.files._files[1].publish(overwrite=False)
    assert names(tmp_path) == sorted([f"{restored.name}.part", spread.name])
    again = Worker(predictor, source, target, **words)
    again.files.begin()
    assert again.files.left() == []
    again.finish()
    assert names(tmp_path) == sorted([restored.name, spread.name])
    assert again.files.paths == [restored, spread]


@pytest.mark.parametrize("words", SETTINGS)
@pytest.mark.usefixtures("small_blocks")
def test_regions_of_frames_become_the_file_of_a_plain_run(predictor, source, target, tmp_path: Path, words):
    (tmp_path / "once").mkdir()
    once = predictor.predict_file(source, tmp_path / "once" / target.name, **words)
    worker = Worker(predictor, source, target, **words)
    worker.files.begin()
    blocks = worker.files.left()
    assert len(blocks) % 4 == 0
    worker.restore(blocks)
    worker.finish()
    for path in worker.files.paths:
        plain, ours = (zarr.open_group(p, mode="r") for p in (once.with_name(path.name), path))
        levels = [ours[str(level)][:] for level in range(3)]
        expected = plain["0"][:]
        # Sums of floats depend on the shapes of what is added up: a count that lies between two may become the other.
        assert np.abs(levels[0] - expected.astype(float)).max() <= 1
        assert np.mean(levels[0] != expected) < 1e-3 or levels[0].dtype.kind == "f"
        np.testing.assert_allclose(levels[0], expected, rtol=1e-5, atol=1)
        for fine, coarse in itertools.pairwise(levels):
            for place in np.ndindex(fine.shape[:3]):
                np.testing.assert_array_equal(coarse[place], halved(fine[place]))
        shown, known = (dict(group.attrs["ome"]) for group in (ours, plain))
        windows = [channel.pop("window") for channel in shown["omero"]["channels"]]
        for channel in known["omero"]["channels"]:
            channel.pop("window")
        for c, window in enumerate(windows):
            low, high = float(levels[0][:, c].min()), float(levels[0][:, c].max())
            assert window == {"min": low, "max": high, "start": low, "end": high}
        assert shown == known
        assert ours.attrs["pssr"] == plain.attrs["pssr"]


@pytest.mark.usefixtures("small_blocks")
def test_two_that_join_one_file_fill_it_together(predictor, source, target, tmp_path: Path):
    once = Worker(predictor, source, tmp_path / "once.ome.zarr").alone()
    one, two = (Worker(predictor, source, target) for _ in range(2))
    one.files.begin()
    two.files.begin()
    blocks = one.files.left()
    one.restore(blocks[::2])
    assert two.files.left() == blocks[1::2]
    two.restore(blocks[1::2])
    assert one.files.left() == []
    assert not target.exists()
    one.finish()
    two.finish()
    assert content(target) == content(once)
    assert names(tmp_path) == ["once.ome.zarr", "out.ome.zarr"]


def test_an_unfinished_file_of_other_settings_is_refused(predictor, source, target):
    Worker(predictor, source, target).files.begin()
    for words in ({"compare": True}, {"t": slice(0, 5)}, {"dtype": "float32"}):
        with pytest.raises(WriteError, match=r"out.ome.zarr.part: is an unfinished file of other settings; "):
            Worker(predictor, source, target, **words).files.begin()


def test_something_else_in_the_way_is_refused_and_kept(predictor, source, target):
    part = target.with_name(target.name + ".part")
    part.mkdir()
    (part / "mine").touch()
    with pytest.raises(WriteError, match="is in the way, and no file that several processes fill; move it"):
        Worker(predictor, source, target).files.begin()
    assert names(part) == ["mine"]


def test_other_formats_are_refused(predictor, source, tmp_path: Path):
    with pytest.raises(ConfigError, match="can only fill an OME-Zarr; name it .ome.zarr"):
        Worker(predictor, source, tmp_path / "out.ome.tif")


def test_many_that_begin_in_the_same_moment_make_one_file(predictor, source, target, tmp_path: Path):
    for number in range(5):
        name = target.with_name(f"out{number}.ome.zarr")
        workers = [Worker(predictor, source, name) for _ in range(6)]
        assert at_once(*(worker.files.begin for worker in workers)) == []
    assert names(tmp_path) == [f"out{number}.ome.zarr.part" for number in range(5)]


def test_a_precision_that_another_process_has_measured_is_taken_over(predictor, source, target):
    measured = [replace(predictor, precision=name, measured=True) for name in ("bf16", "fp32")]
    plan = planned(predictor, source, target, {})
    taken = [begun(one, plan, target, {})[0].precision for one in measured]
    assert taken == ["bf16", "bf16"]
    with pytest.raises(WriteError, match="unfinished file of other settings"):
        begun(predictor, plan, target, {})


def test_a_block_that_was_not_marked_is_left(predictor, source, target, tmp_path: Path):
    once = Worker(predictor, source, tmp_path / "once.ome.zarr").alone()
    died, other = (Worker(predictor, source, target) for _ in range(2))
    died.files.begin()
    blocks = died.files.left()
    died.write(blocks[0])
    # As zarr leaves it when it is killed.
    chunk = next((tmp_path / "out.ome.zarr.part" / "0" / "c").rglob("0"))
    while chunk.is_dir():
        chunk = chunk / "0"
    chunk.with_suffix(".0123456789abcdef.partial").write_bytes(b"half")
    other.files.begin()
    assert other.files.left() == blocks
    other.restore(blocks)
    other.finish()
    assert content(target) == content(once)


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("reached", ["the last mark", "marks moved", "taken", "the name"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_whoever_comes_after_one_that_died_while_finishing_ends_it(
    predictor, source, target, tmp_path: Path, reached, overwrite
):
    once = Worker(predictor, source, tmp_path / "once.ome.zarr").alone()
    if overwrite:
        predictor.predict_file(source, target, t=0)
    died = Worker(predictor, source, target, overwrite=overwrite)
    died.files.begin()
    died.restore(died.files.left())
    part, done = (target.with_name(target.name + end) for end in (".part", ".part.done"))
    assert not list(part.glob("1/c/*"))
    if reached != "the last mark":
        # As `finish` leaves it when it is killed between two of its steps.
        copy(once, part)
        (part / ".pssr").rename(done)
    if reached == "taken":
        part.rename(part.with_name(f"{part.name}.{'0' * 32}"))
    if reached == "the name":
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    other = Worker(predictor, source, target, overwrite=overwrite or reached == "the name")
    if reached == "the name":
        assert other.files.complete()
        # Nothing of what is left makes a new file believe that it is complete.
        other.files.begin()
        assert other.files.left() == other.files.blocks
        other.restore(other.files.left())
    else:
        other.files.begin()
        assert other.files.left() == []
    other.finish()
    assert content(target) == content(once)
    assert names(tmp_path) == ["once.ome.zarr", "out.ome.zarr"]


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("overwrite", [False, True])
def test_two_that_finish_at_once_leave_one_file(predictor, source, target, tmp_path: Path, overwrite):
    once = Worker(predictor, source, tmp_path / "once.ome.zarr").alone()
    part, kept = tmp_path / "out.ome.zarr.part", tmp_path / "kept"
    first = Worker(predictor, source, target)
    first.files.begin()
    first.restore(first.files.left())
    part.rename(kept)
    for _ in range(4):
        copy(kept, part)
        workers = [Worker(predictor, source, target, overwrite=overwrite) for _ in range(3)]
        for worker in workers:
            worker.files.begin()
        assert at_once(*(worker.finish for worker in workers)) == []
        assert content(target) == content(once)
        assert names(tmp_path) == ["kept", "once.ome.zarr", "out.ome.zarr"]
        if not overwrite:
            shutil.rmtree(target)


def test_what_a_slow_process_was_writing_when_the_file_got_its_name_is_not_in_it(
    predictor, source, target, tmp_path: Path, monkeypatch
):
    once = Worker(predictor, source, tmp_path / "once.ome.zarr").alone()
    worker = Worker(predictor, source, target)
    worker.files.begin()
    worker.restore(worker.files.left())
    rename = Path.rename

    def late(path: Path, to: Path) -> Path:
        # As zarr begins a chunk; from then on the folder has another name.
        if path == tmp_path / "out.ome.zarr.part":
            (path / "0" / "c" / "0.0123456789abcdef.partial").write_bytes(b"half")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", late)
    worker.finish()
    assert content(target) == content(once)
    assert names(tmp_path) == ["once.ome.zarr", "out.ome.zarr"]


def test_one_that_begins_while_the_file_gets_its_name_ends_it(
    predictor, source, target, tmp_path: Path, monkeypatch
):
    once = Worker(predictor, source, tmp_path / "once.ome.zarr").alone()
    slow, other = (Worker(predictor, source, target) for _ in range(2))
    slow.files.begin()
    slow.restore(slow.files.left())
    rename = Path.rename

    def late(path: Path, to: Path) -> Path:
        if to == target and not other_began:
            other_began.append(True)
            other.files.begin()
        return rename(path, to)

    other_began: list[bool] = []
    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(FinishedElsewhere):
        slow.finish()
    assert other.files.left() == []
    other.finish()
    assert content(target) == content(once)
    assert names(tmp_path) == ["once.ome.zarr", "out.ome.zarr"]


def test_one_that_comes_too_late_is_told_and_leaves_nothing(predictor, source, target, tmp_path: Path):
    first, late = (Worker(predictor, source, target) for _ in range(2))
    first.files.begin()
    late.files.begin()
    blocks = first.files.left()
    first.restore(blocks)
    first.finish()
    before = content(target)
    with pytest.raises(FinishedElsewhere, match="was completed, or begun anew, by another process"):
        late.write(blocks[0])
    # A write that was on its way when the file got its name.
    (tmp_path / "out.ome.zarr.part" / "0" / "c" / "0").mkdir(parents=True)
    with pytest.raises(FinishedElsewhere):
        late.files.mark(blocks[0])
    with pytest.raises(FinishedElsewhere):
        late.files.join()
    with pytest.raises(FinishedElsewhere):
        late.files.begin()
    assert late.files.left() == []
    late.finish()
    assert content(target) == before
    assert names(tmp_path) == ["out.ome.zarr"]


def test_one_that_was_away_does_not_fill_a_file_that_was_begun_anew(
    predictor, source, target, tmp_path: Path
):
    away = Worker(predictor, source, target)
    away.files.begin()
    block = away.files.left()[0]
    (tmp_path / "out.ome.zarr.part").rename(tmp_path / "elsewhere")
    anew = Worker(predictor, source, target)
    anew.files.begin()
    with pytest.raises(FinishedElsewhere):
        away.write(block)
    with pytest.raises(FinishedElsewhere):
        away.files.mark(block)
    assert anew.files.left() == anew.files.blocks


def test_what_was_there_is_replaced_when_the_new_one_is_complete(predictor, source, target, tmp_path: Path):
    predictor.predict_file(source, target, t=0)
    before = content(target)
    with pytest.raises(WriteError, match="exists already"):
        Worker(predictor, source, target)
    worker = Worker(predictor, source, target, overwrite=True)
    worker.files.begin()
    worker.restore(worker.files.left())
    assert content(target) == before
    worker.finish()
    assert open_stack(target).sizes["T"] == 10
    assert names(tmp_path) == ["out.ome.zarr"]


def test_what_appears_meanwhile_is_not_replaced_and_the_work_is_kept(
    predictor, source, target, tmp_path: Path
):
    worker = Worker(predictor, source, target)
    worker.files.begin()
    worker.restore(worker.files.left())
    target.mkdir()
    with pytest.raises(WriteError, match="appeared while it was being written"):
        worker.finish()
    target.rmdir()
    again = Worker(predictor, source, target)
    again.files.begin()
    assert again.files.left() == []
    again.finish()
    assert open_stack(target).sizes["T"] == 10
    assert names(tmp_path) == ["out.ome.zarr"]


def test_a_disk_that_refuses_is_told_in_words(predictor, source, target, tmp_path: Path):
    worker = Worker(predictor, source, target)
    worker.files.begin()
    (tmp_path / "out.ome.zarr.part" / "0" / "c").touch()
    with pytest.raises(
        WriteError, match=r"out.ome.zarr: cannot be written \(.*\); free some space or choose"
    ):
        worker.write(worker.files.left()[0])


def test_a_region_of_a_frame_counts_as_a_plane(some_job):
    assert planes_of(blocks_of(some_job)) == 10
    large = replace(some_job, field=(slice(0, 1025), slice(0, 48)))
    assert planes_of(blocks_of(large)) == 20

"""A disk that fills up while a network learns: an error that says so, and nothing lost."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from small_runs import config, losses, movie

from pssr.errors import WriteError
from pssr.model_file import load
from pssr.training.events import Step
from pssr.training.fit import fit
from pssr.training.log import write_log

ASKED = {"train__steps": 24, "train__save_every_s": 1e-9, "train__validate_every": 12}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load(run).weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("disk") / "whole"
    list(fit(config(**ASKED), [movie()], run))
    return run


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk with room for a state and a half."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be made here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="small disks are made by mount")
def test_a_full_disk_is_told_and_the_training_goes_on_when_there_is_room(small_disk: Path, whole: Path):
    run = small_disk / "run"
    events, done = fit(config(**ASKED), [movie()], run), 0
    with pytest.raises(WriteError, match="No space left"):
        for event in events:
            if isinstance(event, Step):
                done = event.step
            if done == 7:
                # Somebody else fills it.
                left = shutil.disk_usage(small_disk).free
                (small_disk / "other").write_bytes(bytes(max(left - 4096, 0)))
    assert done >= 7
    state = torch.load(run / "state.pt", weights_only=True)
    assert 1 <= state["step"] <= done
    assert not list(run.rglob("*.part"))
    load(run)
    (small_disk / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    list(fit(config(**ASKED), [movie()], run))
    assert losses(run) == losses(whole)
    assert all(torch.equal(a, weights(whole)[name]) for name, a in weights(run).items())


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of a file")
def test_a_state_that_finds_no_room_leaves_the_one_before_it(tmp_path: Path, whole: Path):
    """Where no disk can be made: files may not grow beyond a size, which is the same error from the same call."""
    run = tmp_path / "run"
    size = (whole / "state.pt").stat().st_size
    program = textwrap.dedent(f"""
        import resource, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
        from small_runs import config, movie
        from pssr.errors import WriteError
        from pssr.training.events import Step
        from pssr.training.fit import fit
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            for event in fit(config(**{ASKED!r}), [movie()], sys.argv[1]):
                if isinstance(event, Step) and event.step == 7:
                    resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2}, resource.RLIM_INFINITY))
        except WriteError as error:
            print(error)
            sys.exit(3)
    """)
    done = subprocess.run([sys.executable, "-c", program, run], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "cannot be written (File too large); free some space" in done.stdout
    assert 5 <= torch.load(run / "state.pt", weights_only=True)["step"] <= 7
    assert not list(run.rglob("*.part"))
    list(fit(config(**ASKED), [movie()], run))
    assert losses(run) == losses(whole)
    assert all(torch.equal(a, weights(whole)[name]) for name, a in weights(run).items())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_that_cannot_be_written_says_so():
    with pytest.raises(
        WriteError, match=r"full: cannot be written \(No space left on device\); free some space"
    ):
        write_log(Path("/dev/full"), step=10, loss=0.5)

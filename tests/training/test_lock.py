import subprocess
import sys
from pathlib import Path

import pytest

from pssr.errors import ConfigError
from pssr.training.lock import locked

HOLD = """
import sys
from pathlib import Path
from pssr.training.lock import locked
with locked(Path(sys.argv[1])):
    print("in", flush=True)
    input()
"""


def test_another_process_is_named_and_refused_until_it_ends(tmp_path: Path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with (
            pytest.raises(ConfigError, match=rf"run: is being trained by process {other.pid} on "),
            locked(tmp_path / "run"),
        ):
            pass
        other.kill()
    with locked(tmp_path / "run"):
        pass


def test_a_folder_in_which_nothing_came_to_be_is_removed(tmp_path: Path):
    with locked(tmp_path / "a"):
        pass
    assert not (tmp_path / "a").exists()
    with locked(tmp_path / "b"):
        (tmp_path / "b/config.yaml").touch()
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == [".lock", "config.yaml"]
    (tmp_path / "c").mkdir()
    with locked(tmp_path / "c"):
        pass
    assert (tmp_path / "c").exists()


def test_whoever_comes_second_in_a_race_leaves_the_folder_to_the_first(tmp_path: Path, monkeypatch):
    with locked(tmp_path / "run"):
        # As it looked to the second one before the first had made it.
        monkeypatch.setattr(Path, "exists", lambda _path: False)
        with pytest.raises(ConfigError, match="is being trained by process"), locked(tmp_path / "run"):
            pass
        assert (tmp_path / "run/.lock").is_file()
        (tmp_path / "run/config.yaml").touch()

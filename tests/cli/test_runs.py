import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pssr.cli.main import app
from pssr.cli.runs import _ago

PSSR = [sys.executable, "-c", "from pssr.cli.main import main; main()"]


def pssr(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Into a pipe: no terminal."""
    return subprocess.run(
        [*PSSR, "runs", *map(str, words)], capture_output=True, text=True, check=False,
        env=os.environ | {"COLUMNS": "40"} | environment,
    )  # fmt: skip


@pytest.fixture
def three(tmp_path: Path, run_folder: Path) -> Path:
    """A real run, a stopped one, and one whose config is damaged."""
    (tmp_path / "mito").symlink_to(run_folder)
    for name, text in (("er [old]", "train: {steps: 60}"), ("zebra", "train: {stepz: 3}")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(text)
        (folder / "log.jsonl").write_text(
            '{"step": 10, "psnr": 20.126, "bicubic_psnr": 19}\n{"step": 20, "lo'
        )
    return tmp_path


def test_every_run_is_a_line_without_colours_where_there_is_no_terminal(three: Path):
    said = pssr(three)
    assert (said.returncode, said.stderr) == (0, "")
    head, er, mito, zebra = said.stdout.splitlines()
    assert head.split() == ["run", "state", "step", "restored", "bicubic", "last", "written"]
    assert er.startswith(f"{three}/er [old] ")
    assert "stopped 10 of 60 20.13 dB 19.00 dB" in " ".join(er.split())
    assert "finished" in mito
    assert "150 of 150" in mito
    assert "train.stepz: no such setting; did you mean" in zebra
    assert "\x1b" not in said.stdout


def test_json_is_one_object_a_line(three: Path):
    said = pssr("--json", three)
    er, mito, zebra = map(json.loads, said.stdout.splitlines())
    assert list(er) == [
        "path", "state", "step", "steps", "psnr_db", "bicubic_psnr_db", "age_s", "holder", "note",
    ]  # fmt: skip
    assert (er["path"], er["psnr_db"], er["steps"]) == (f"{three}/er [old]", 20.126, 60)
    assert mito["state"] == "finished"
    assert zebra["steps"] is None


def test_no_runs_are_said_and_no_error(tmp_path: Path):
    said = pssr(tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"{tmp_path}: no runs; make one with pssr train ")
    assert pssr("--json", tmp_path).stdout == ""


def test_no_folder_is_an_error(tmp_path: Path):
    said = pssr(tmp_path / "nothing")
    assert said.returncode == 1
    assert "nothing: is no folder; give a run folder" in said.stderr


def test_help_has_an_example():
    said = CliRunner().invoke(app, ["runs", "--help"])
    assert said.exit_code == 0
    assert "pssr runs --json runs/" in said.output


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (None, "unknown"), (0.4, "just now"), (1.2, "1 second ago"), (59.9, "59 seconds ago"), (60, "1 minute ago"),
        (7000, "1 hour ago"), (90_000, "1 day ago"), (864_000, "10 days ago"),
    ],
)  # fmt: skip
def test_age_is_in_words(age_s, words: str):
    assert _ago(age_s) == words

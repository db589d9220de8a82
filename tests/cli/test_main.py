import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pylibCZIrw import czi

PSSR = [sys.executable, "-c", "from pssr.cli.main import main; main()"]
FAST = [
    "--size",
    "fast",
    "--set",
    "data.patch_px=32",
    "--set",
    "data.batch=2",
    "--set",
    "network.edsr={width: 8, blocks: 1}",
]


def pssr(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(
        [*PSSR, *map(str, words)], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.fixture
def stack(tmp_path: Path, good_movie: np.ndarray) -> Path:
    metadata = {
        "axes": "TCYX",
        "Channel": {"Name": ["mito", "er"]},
        "PhysicalSizeX": 0.1,
        "TimeIncrement": 2.0,
    }
    two = np.stack([good_movie[:6, :64, :64], good_movie[6:12, :64, :64]], 1)
    tifffile.imwrite(tmp_path / "a.ome.tif", two, metadata=metadata, photometric="minisblack")
    return tmp_path / "a.ome.tif"


@pytest.mark.parametrize(
    "words",
    [[], ["train"], ["predict"], ["info"], ["calibrate"], ["preview"], ["config"], ["demo"], ["runs"]],
)
def test_help_shows_how_with_an_example(words):
    said = pssr(*words, "--help")
    assert said.returncode == 0
    assert "Usage: pssr" in said.stdout
    assert (
        "pssr train" in said.stdout if not words else f"pssr {words[0]} " in said.stdout.split("Options")[0]
    )
    assert "Traceback" not in said.stderr


def test_without_words_it_shows_the_commands():
    said = pssr()
    assert all(name in said.stdout + said.stderr for name in ("train", "predict", "info", "config", "demo"))


@pytest.mark.parametrize(
    ("words", "message"),
    [(["trian"], "No such command"), (["train"], "Missing"), (["train", "a.tif", "--steps", "many"], "--steps"),
     (["config", "moovie"], "movie"), (["config", "--set", "train.lrr=3"], "train.lrr"),
     (["config", "--set", "scale=5"], "scale"), (["train", "a.tif", "-o", "r", "--scale", "5"], "scale")],
)  # fmt: skip
def test_a_wrong_command_is_exit_code_2(words, message, tmp_path: Path):
    said = pssr(*words, cwd=tmp_path)
    assert said.returncode == 2
    assert message in said.stderr
    assert "Traceback" not in said.stderr


def test_a_file_that_is_not_there_is_exit_code_1(tmp_path: Path):
    said = pssr("info", tmp_path / "absent.czi")
    assert said.returncode == 1
    assert said.stderr == f"pssr: {tmp_path}/absent.czi: does not exist; check the name\n"


def test_debug_shows_where_an_error_came_from(tmp_path: Path):
    said = pssr("--debug", "info", tmp_path / "absent.czi")
    assert said.returncode != 0
    assert "Traceback" in said.stderr


def test_info_says_what_is_in_a_stack_and_in_a_model(stack, run_folder):
    said = pssr("info", stack, run_folder).stdout
    for words in (
        "OME-TIFF", "T 6  C 2  Z 1  Y 64  X 64", "mito, er", "X 0.1", "interval s    2", "the middle of 3 frames", "psnr",
    ):  # fmt: skip
        assert words in said


def test_info_for_scripts(stack, good_movie):
    about = json.loads(pssr("info", "--json", stack).stdout)
    assert about["sizes"] == {"T": 6, "C": 2, "Z": 1, "Y": 64, "X": 64}
    assert about["channels"] == ["mito", "er"]
    planes = good_movie[3, :64, :64], good_movie[9, :64, :64]
    assert about["counts"] == [[int(plane.min()), int(plane.max())] for plane in planes]
    assert (about["interval_s"], about["notes"]) == (2.0, [])


def test_info_says_what_is_odd(tmp_path: Path):
    plane = np.zeros((3, 20, 20), np.uint8)
    plane[:, :5] = 255
    tifffile.imwrite(tmp_path / "a.tif", plane, photometric="minisblack")
    said = pssr("info", tmp_path / "a.tif").stdout
    for words in (
        "pixel size is unknown",
        "time between frames is unknown",
        "25.0% of the middle plane is saturated at 255",
        "time points",
    ):
        assert words in said


def test_config_prints_yaml_with_comments_that_trains_again(tmp_path: Path):
    said = pssr("config", "single", "--set", "train.lr=5e-4")
    assert "frames: 1" in said.stdout
    assert (
        "  # highest learning rate of the one-cycle schedule; 0 looks for one by a short rising test\n  lr: 0.0005\n"
        in said.stdout
    )
    (tmp_path / "my.yaml").write_text(said.stdout)
    assert pssr("config", "--config", tmp_path / "my.yaml").stdout == said.stdout


@pytest.mark.slow
def test_train_then_predict(stack, tmp_path: Path):
    run = tmp_path / "run"
    asked = pssr("train", stack, "-o", run)
    assert (asked.returncode, asked.stderr) == (2, f"pssr: {stack}: choose a channel (mito, er)\n")
    words = ["train", stack, "-o", run, "--channel", "mito", "--scale", 2, "--steps", 6, *FAST]
    trained = pssr(*words)
    assert trained.returncode == 0, trained.stderr
    assert "patches of 32 px" in trained.stderr
    assert f"pssr predict {run}" in trained.stdout
    again = pssr(*words)
    assert "continue at step 6 to 6" in again.stderr
    other = pssr(*words, "--set", "data.tries=9")
    assert other.returncode == 2
    assert "data.tries" in other.stderr

    out = tmp_path / "restored"
    said = pssr("predict", run, stack, "-o", out, "--channel", "all")
    assert said.returncode == 0, said.stderr
    shown = pssr("info", out / "a_restored.ome.tif").stdout
    assert "T 6  C 2  Z 1  Y 128  X 128" in shown
    assert "X 0.05" in shown
    assert "exists already" in pssr("predict", run, stack, "-o", out, "--channel", "all").stderr
    assert pssr("predict", run, stack, "-o", out, "--channel", "all", "--overwrite").returncode == 0


@pytest.mark.slow
def test_one_bad_file_does_not_stop_the_others(run_folder, tmp_path: Path, good_movie):
    tifffile.imwrite(tmp_path / "good.tif", good_movie[:3, :20, :20], photometric="minisblack")
    (tmp_path / "bad.tif").write_text("no")
    said = pssr("predict", run_folder, tmp_path / "bad.tif", tmp_path / "good.tif", "-o", tmp_path / "out")
    assert said.returncode == 1
    assert "bad.tif: is not CZI, TIFF, OME-Zarr, PNG" in said.stderr
    assert "1 restored, 0 skipped, 1 failed, of 2 files" in said.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good_restored.ome.tif"]


def test_what_must_be_chosen_is_asked_before_anything_is_restored(
    run_folder, stack, tmp_path: Path, good_movie
):
    tifffile.imwrite(tmp_path / "0.tif", good_movie[:3, :20, :20], photometric="minisblack")
    said = pssr("predict", run_folder, tmp_path / "0.tif", stack, "-o", tmp_path / "out")
    assert said.returncode == 2
    assert "choose a channel (mito, er)" in said.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_keeps_what_it_learned(stack, tmp_path: Path, number, code):
    run = tmp_path / "run"
    words = [
        "train",
        stack,
        "-o",
        run,
        "--channel",
        "er",
        "--scale",
        "2",
        *FAST,
        "--set",
        "train.save_every_s=1000",
    ]
    process = subprocess.Popen([*PSSR, *map(str, words)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ((run / "log.jsonl").exists() and (run / "log.jsonl").stat().st_size):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert (run / "model.safetensors").exists()
    assert (run / "state.pt").exists()


def test_info_is_json_whatever_the_pixels_are(tmp_path: Path):
    plane = np.full((2, 20, 20), np.nan, np.float32)
    plane[1, :5] = 7
    plane[1, 6, 6] = np.inf
    tifffile.imwrite(tmp_path / "a.tif", plane, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", plane[:1], photometric="minisblack")
    mixed, none = (
        json.loads(pssr("info", "--json", tmp_path / name).stdout, parse_constant=pytest.fail)
        for name in ("a.tif", "b.tif")
    )
    assert (mixed["counts"], none["counts"]) == ([[7.0, 7.0]], [[None, None]])
    assert (
        "channel 0: 300 pixels of the middle plane are not numbers; mend them before restoring"
        in mixed["notes"]
    )
    assert "counts        none" in pssr("info", tmp_path / "b.tif").stdout


def test_info_tells_all_scenes_also_of_equal_names(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        for name, side in (("A", 8), ("B", 9), ("A", 10)):
            tif.write(
                np.zeros((side, side), np.uint8),
                photometric="minisblack",
                metadata={"axes": "YX", "Name": name},
            )
    said = [json.loads(line) for line in pssr("info", "--json", tmp_path / "a.ome.tif").stdout.splitlines()]
    assert [(one["scene"], one["sizes"]["X"]) for one in said] == [("A (0)", 8), ("B", 9), ("A (2)", 10)]


def test_info_looks_at_a_plane_that_is_there(tmp_path: Path):
    with czi.create_czi(str(tmp_path / "a.czi")) as out:
        for z in (0, 1, 3, 4):
            out.write(np.full((8, 8, 1), 10 + z, np.uint16), plane={"T": 0, "C": 0, "Z": z})
    about = json.loads(pssr("info", "--json", tmp_path / "a.czi").stdout)
    assert about["missing"] == [{"T": 0, "C": 0, "Z": 2}]
    assert about["counts"] == [[11, 11]]

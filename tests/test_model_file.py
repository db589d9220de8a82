import json
import struct
from pathlib import Path

import pytest
import torch

from pssr.config import preset
from pssr.errors import ModelError
from pssr.model_file import Model, Source, load, save

MODEL = Model(
    config=preset("movie"),
    weights={"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)},
    reference=(0.01, 0.9),
    sources=(Source("mito.czi [mito]", (100, 85, 85), "uint16", 25.0, 1800.0, 0.0489, 2.54),),
    steps=123,
    scores={"psnr": 30.5},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(MODEL, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_model_comes_back_as_it_was(path: Path):
    found = load(path)
    assert found.config == MODEL.config
    assert (found.reference, found.sources, found.steps, found.scores) == (
        MODEL.reference, MODEL.sources, MODEL.steps, MODEL.scores,
    )  # fmt: skip
    assert all(torch.equal(found.weights[name], w) for name, w in MODEL.weights.items())
    assert len(found.sha256) == 64


def test_a_run_folder_will_do(path: Path):
    assert load(path.parent).sha256 == load(path).sha256


def test_the_same_model_has_the_same_name_and_another_has_another(path: Path, tmp_path: Path):
    other = tmp_path / "other.safetensors"
    save(MODEL, other)
    assert load(other).sha256 == load(path).sha256
    save(Model(**{**vars(MODEL), "steps": 124}), other)
    assert load(other).sha256 != load(path).sha256


def test_the_file_follows_the_umask(path: Path):
    (path.parent / "plain").touch()
    assert path.stat().st_mode == (path.parent / "plain").stat().st_mode


@pytest.mark.parametrize("where", [-1, -9, 200])
def test_one_changed_byte_is_noticed(path: Path, where: int):
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short_is_refused(path: Path, share: float):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match="is not a model of pssr|is damaged"):
        load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>not found</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\x80\x04\x95cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a model of pssr; give a run folder"):
        load(path)


def test_a_newer_format_is_refused_with_advice(tmp_path: Path):
    header = json.dumps({"__metadata__": {"pssr": json.dumps({"format": 99})}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match="is of format 99, this version reads 1; update pssr-toolkit"):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be read .*; give a run folder or a model file"):
        load(tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ModelError, match="cannot be read .*; give a run folder or a model file"):
        load(tmp_path / name)

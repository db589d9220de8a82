"""A network that torch compiles: the same training, with weights of the same names. In processes without checks of types."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from commands import PSSR, ran, training
from small_runs import losses

from pssr.model_file import load


def train(folder: Path, run: str, *, compiled: bool, **environment: str) -> int:
    words = training(folder, run, train__steps=12, train__compile=compiled)
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"), **environment}
    return ran([*PSSR, *words], folder / f"{run}.txt", timeout_s=250, **environment)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler to compile with")
def test_a_compiled_network_learns_the_same(tmp_path: Path):
    for name, compiled in (("plain", False), ("compiled", True)):
        assert train(tmp_path, name, compiled=compiled) == 0, (tmp_path / f"{name}.txt").read_text()
    plain, compiled = (load(tmp_path / name).weights for name in ("plain", "compiled"))
    assert plain.keys() == compiled.keys()
    assert all(torch.allclose(plain[name], compiled[name], rtol=1e-3, atol=1e-4) for name in plain)
    assert list(losses(tmp_path / "compiled")) == list(losses(tmp_path / "plain"))
    assert any((tmp_path / "cache").rglob("*.cpp")), "nothing was compiled"


@pytest.mark.slow
def test_without_a_compiler_it_is_refused_before_the_first_step(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    assert train(tmp_path, "run", compiled=True, PATH=f"{tmp_path / 'bin'}{os.pathsep}") == 2
    said = (tmp_path / "run.txt").read_text()
    assert "pssr: train.compile: nothing can be compiled here" in said
    assert "install a C++ compiler, or leave it out" in said
    assert not (tmp_path / "run").exists()

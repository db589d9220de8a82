"""A network that torch compiles gives the same pixels. In processes without checks of types."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import PSSR, ran

from pssr.io.open import open_stack


@pytest.fixture
def low(tmp_path: Path, good_movie) -> Path:
    path = tmp_path / "low.tif"
    frames = np.ascontiguousarray(good_movie[:4, ::2, ::2])
    tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": "TYX"})
    return path


def restore(run: Path, low: Path, name: str, *words: str, **environment: str) -> tuple[int, str]:
    said = low.with_name(f"{name}.txt")
    command = [*PSSR, "predict", str(run), str(low), "-o", str(low.with_name(f"{name}.ome.tif")), *words]
    code = ran([*command, "--precision", "fp32"], said, timeout_s=250, **environment)
    return code, said.read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler to compile with")
def test_a_compiled_network_gives_the_same_pixels(run_folder, low, tmp_path: Path):
    with tempfile.TemporaryDirectory() as cache:
        assert restore(run_folder, low, "plain")[0] == 0
        code, said = restore(run_folder, low, "compiled", "--compile", TORCHINDUCTOR_CACHE_DIR=cache)
        assert code == 0, said
        assert any(Path(cache).rglob("*.cpp")), "nothing was compiled"
    plain, compiled = (
        np.stack(list(open_stack(tmp_path / f"{name}.ome.tif").movie())).astype(int)
        for name in ("plain", "compiled")
    )
    assert np.abs(plain - compiled).max() <= 1


@pytest.mark.slow
def test_without_a_compiler_it_is_refused_before_the_first_plane(run_folder, low, tmp_path: Path):
    (tmp_path / "bin").mkdir()
    code, said = restore(run_folder, low, "out", "--compile", PATH=f"{tmp_path / 'bin'}{os.pathsep}")
    assert code == 2
    assert "pssr: compile: nothing can be compiled here" in said
    assert not list(tmp_path.glob("out.ome.tif*"))

from pathlib import Path

import pytest
from commands import PSSR, ran


@pytest.mark.slow
def test_the_demo_prints_one_table_and_how_to_look_at_its_files(tmp_path: Path):
    out, said = tmp_path / "demo", tmp_path / "said"
    assert ran([*PSSR, "demo", "-o", str(out), "--train-time", "1"], said) == 0, said.read_text()
    text = said.read_text()
    for name in ("PSNR dB", "bicubic", "one frame, plain L1", "three frames + stability"):
        assert name in text
    for name in ("truth.ome.tif", "low.ome.tif", "restored.ome.tif", "restored.mp4", "comparison.png"):
        assert str(out / name) in text.splitlines()
        assert (out / name).stat().st_size > 0
    assert f"napari {out}/low.ome.tif {out}/restored.ome.tif --plugin pssr-toolkit" in text
    assert (out / "runs" / "movie").is_dir()
    assert text.rstrip().endswith(f"in Restore the model {out}/runs/movie")

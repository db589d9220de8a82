import subprocess
import sys
from pathlib import Path

import napari_pssr

MANIFEST = Path(napari_pssr.__file__).with_name("napari.yaml")


def test_the_manifest_is_valid():
    said = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", MANIFEST], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Manifest for 'pssr' valid" in said.stdout


def test_napari_finds_it_through_the_entry_point():
    program = (
        "from npe2 import PluginManager as P; m = P.instance(); m.discover(); m.get_manifest('pssr-toolkit')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

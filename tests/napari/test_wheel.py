"""The wheel in an environment of its own: both packages, and a plugin that napari finds."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOK = """
import warnings; warnings.simplefilter("ignore")
import importlib, napari_pssr, pssr
from npe2 import PluginManager
manager = PluginManager.instance(); manager.discover()
manifest = manager.get_manifest("pssr-toolkit")
for command in manifest.contributions.commands:
    module, _, name = command.python_name.partition(":")
    getattr(importlib.import_module(module), name)
print(pssr.__file__, napari_pssr.__file__, len(manifest.contributions.widgets), pssr.__version__, sep="\\n")
"""


@pytest.mark.slow
def test_the_wheel_installs_and_napari_finds_the_plugin(tmp_path: Path, screen):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=True)
    python = fresh / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True, capture_output=True
    )
    # What it depends on is that of this environment; a path named so brings no editable installs along.
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    inside = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    (Path(inside) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    done = subprocess.run([python, "-c", LOOK], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    core, plugin, widgets, version = done.stdout.split()
    assert Path(core).is_relative_to(fresh)
    assert Path(plugin).is_relative_to(fresh)
    assert (widgets, version) == ("4", wheel.name.split("-")[1])

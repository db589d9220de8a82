import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import napari_pssr
import pssr

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


def test_the_plugin_uses_public_names_alone():
    """Only what is in `pssr.__all__`, and the version: what else there is may change without a word."""
    allowed, used = {*pssr.__all__, "__version__"}, 0
    for path in sorted(MANIFEST.parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "pssr":
                    assert module == "pssr", f"{path.name}: {module}"
                    assert {name.name for name in names} <= allowed, path.name
                    used += len(names)
                case ast.Import(names=names):
                    assert not [name.name for name in names if name.name.startswith("pssr.")], path.name
                case ast.Attribute(value=ast.Name(id="pssr"), attr=name):
                    assert name in allowed, f"{path.name}: pssr.{name}"
    assert used > 20


@pytest.mark.filterwarnings("ignore")  # of npe2's and napari's own making, when they are imported
def test_everything_that_the_manifest_names_is_there():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(MANIFEST)
    names = [command.python_name for command in manifest.contributions.commands]
    assert len(names) == 7
    for name in names:
        module, _, attribute = name.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_the_widgets_are_in_the_menus_and_open_from_them(viewer, wait):
    from npe2 import PluginManager

    PluginManager.instance().discover()
    from napari._app_model import get_app_model

    menus = get_app_model().menus
    found = {
        item.command.id
        for menu in ("napari/layers/filter", "napari/layers/visualize", "napari/layers/measure")
        for item in menus.get_menu(menu)
        if hasattr(item, "command")
    }
    assert found >= {f"pssr-toolkit.{name}" for name in ("restore", "train", "compare", "calibrate")}
    get_app_model().commands.execute_command("pssr-toolkit.restore").result()
    wait(lambda: any("Restore" in name for name in viewer.window.dock_widgets))

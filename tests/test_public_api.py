"""What others build on: names, documentation, and how little it costs to import them."""

import inspect
import subprocess
import sys

import pytest

import pssr

NAMES = [
    "ChoiceNeeded", "Config", "ConfigError", "Crappifier", "Intensity", "ModelError", "Movie", "Noted", "PhaseStarted", "Predictor", "Progress", "PssrError", "ReadError", "Saved", "Stack", "StackWriter", "Step", "Validated", "Warned", "WriteError", "Written", "calibrate", "crappifier", "evaluate", "fit", "load", "measure", "movies", "open_stack", "preset", "preview", "read_config", "read_log", "recipe_names", "stack_of", "train", "tubules",
]  # fmt: skip


def test_the_public_names_are_a_contract():
    assert pssr.__all__ == NAMES
    assert set(dir(pssr)) >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_documented(name):
    thing = getattr(pssr, name)
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            assert method.startswith("_") or function.__doc__ or method in dir(thing.__base__), (
                f"{name}.{method}"
            )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'restore'"):
        pssr.restore  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    assert pssr.__version__.split(".")[0].isdigit()


@pytest.mark.parametrize(
    "statement", ["import pssr", "import pssr.io.stack", "import pssr.config", "import pssr.cli.main"]
)
def test_importing_loads_no_torch(statement):
    program = f"{statement}; import sys; sys.exit(any(m in sys.modules for m in ('torch', 'qtpy', 'napari')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_importing_pssr_loads_nothing_else_at_all():
    program = "import sys; before = set(sys.modules); import pssr; print(len(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(said) < 40

"""What is depended on: pinned to a version each, and never to one with a hole that nothing else closes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINS = [
    Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line.strip()
]
NEEDED = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
    if not text.startswith(PROJECT["name"])
]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("pin", PINS, ids=str)
def test_every_line_names_one_version(pin: Requirement):
    (only,) = pin.specifier
    assert only.operator == "=="
    assert "*" not in only.version
    assert pin.url is None


@pytest.mark.parametrize("need", NEEDED, ids=str)
def test_everything_that_is_asked_for_is_pinned_to_a_version_that_will_do(need: Requirement):
    pinned = [pin for pin in PINS if plain(pin.name) == plain(need.name)]
    assert pinned, f"{need.name} is in pyproject.toml and not in constraints.txt"
    for pin in pinned:
        (only,) = pin.specifier
        assert need.specifier.contains(only.version)


def test_no_version_of_torch_is_accepted_whose_careful_reading_runs_code():
    """CVE-2026-24747: before 2.10, `weights_only=True` could be got around."""
    (torch,) = (need for need in NEEDED if need.name == "torch")
    lowest = min(Version(one.version) for one in torch.specifier if one.operator in (">=", "=="))
    assert lowest >= Version("2.10")

"""What the README and the pages say must be so."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?:exec )?(pssr [a-z].*)$", re.MULTILINE)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in COMMAND.findall(block)]
    return [shlex.split(line, comments=True) for line in dict.fromkeys(lines)]


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    program = "import sys; from pssr.cli.main import main; sys.argv = ['pssr', sys.argv[1], '--help']; main()"
    names = ("train", "predict", "info", "calibrate", "preview", "config", "demo")
    return {
        name: subprocess.run(
            [sys.executable, "-c", program, name], capture_output=True, text=True, check=True
        ).stdout
        for name in names
    }


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_and_option_exists(words, helps):
    options = [word.split("=")[0] for word in words[2:] if word.startswith("-") and word != "--"]
    assert all(re.search(rf"{option}\b", helps[words[1]]) for option in options), words


def test_there_are_commands_to_test():
    assert len(commands()) > 8


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path: Path):
    (code,) = blocks(ROOT / "README.md", "python")
    subprocess.run(
        [sys.executable, "-c", code + "\nassert restored.shape == (24, 128, 128)"], cwd=tmp_path, check=True
    )


def test_every_linked_page_is_there():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text("utf-8")):
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"


def test_every_decision_says_what_and_why():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert "**Decided.**" in text or "| package |" in text

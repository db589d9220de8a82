"""The page of faults names tests that exist, and every fault has one or a reason."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/faults.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| [A-Z]\d+ ", line)]


def test_every_test_named_there_exists():
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - defined == set()
    assert len(named) > 30


def test_every_fault_has_a_test_or_a_reason():
    for row in ROWS:
        last = row.strip("| ").rsplit(" | ", 1)[-1]
        assert "`test_" in last or last.startswith("no test: "), row


def test_no_fault_is_left_out():
    numbers = [re.match(r"\| ([A-Z])(\d+) ", row).groups() for row in ROWS]
    for letter in dict.fromkeys(letter for letter, _ in numbers):
        found = [int(number) for kind, number in numbers if kind == letter]
        assert found == list(range(1, len(found) + 1)), letter

"""Crappifiers as lists of named steps: those that come with pssr, and files of your own."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from pssr.errors import ConfigError
from pssr.parts import Part, cut, did_you_mean, part_from

FOLDER = "crappifiers"
WHOLE_NUMBER = "tag:yaml.org,2002:int"
LONGEST_NUMBER = (
    100  # characters; Python writes out no number of more than 4300 digits, not even in a message
)
LARGEST = 2**18  # characters of settings; those that come with pssr have a few thousand


def recipe_names() -> list[str]:
    """Names of the crappifiers that come with pssr."""
    inside = (files("pssr.presets") / FOLDER).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in inside if file.name.endswith(".yaml"))


def recipe(name: str) -> tuple[Part, ...]:
    """The steps of a crappifier.

    Args:
        name: one of `recipe_names()`, or a YAML file with a list of steps.

    Raises:
        ConfigError: neither, or the file holds something else.
    """
    known = recipe_names()
    if name in known:
        return _parsed((files("pssr.presets") / FOLDER / f"{name}.yaml").read_text("utf-8"), name)
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            f"crappifier: {cut(repr(name))} is neither a file.yaml nor a name; {did_you_mean(name, known)}"
        )
    try:
        return _parsed(text_of(path), name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: cannot be read ({error}); check the name") from error


def text_of(path: Path) -> str:
    """A file of settings, as far as settings may reach.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    if path.exists() and not path.is_file():
        # A pipe would be waited for, and a device has no end.
        raise OSError("is no regular file")
    with path.open("rb") as file:
        return file.read(4 * LARGEST).decode("utf-8")


def plain(text: str) -> Any:
    """What YAML says, if it makes no objects and its aliases do not unfold to more than settings can be.

    Raises:
        yaml.YAMLError: it is no YAML, or not plain.
    """
    loader: yaml.SafeLoader | None = None
    try:
        if len(text) > LARGEST:
            raise yaml.YAMLError(f"is longer than {LARGEST} characters")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _unfolded(node, {}) > LARGEST:
            raise yaml.YAMLError(f"its aliases unfold to more than {LARGEST} characters")
        return loader.construct_document(node)
    except (ValueError, LookupError, AttributeError, RecursionError) as error:
        # Of dates such as 2001-99-99, numbers of thousands of digits, brackets within brackets.
        raise yaml.YAMLError(str(error).splitlines()[0]) from error
    finally:
        if loader:
            loader.dispose()


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """Characters of a node with whatever its aliases stand for; what holds itself has no end."""
    if id(node) not in known:
        known[id(node)] = LARGEST + 1
        inner = [] if isinstance(node, yaml.ScalarNode) else node.value
        pieces = [part for piece in inner for part in (piece if isinstance(piece, tuple) else (piece,))]
        own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if own > LONGEST_NUMBER and node.tag == WHOLE_NUMBER:
            raise yaml.YAMLError(f"a number has {own} characters")
        known[id(node)] = 1 + own + sum(_unfolded(piece, known) for piece in pieces)
    return known[id(node)]


def _parsed(text: str, name: str) -> tuple[Part, ...]:
    try:
        steps = plain(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not YAML ({str(error).splitlines()[0]}); see `pssr config`") from error
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"{name}: is no list of steps; write them such as `- poisson: {{peak: 100}}`")
    try:
        return tuple(part_from(step) for step in steps)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def to_yaml(steps: Sequence[Part], *, about: Sequence[str] = ()) -> str:
    """A crappifier as YAML that `recipe` reads.

    Args:
        steps: in order.
        about: lines of comment to begin with.
    """
    lines = [f"# {line}" for line in about]
    for step in steps:
        settings = yaml.safe_dump(
            _plain(dict(step.settings)), default_flow_style=True, sort_keys=False, width=1000
        )
        lines.append(f"- {step.name}: {settings.strip()}" if step.settings else f"- {step.name}")
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """Tuples as lists, for YAML."""
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return value

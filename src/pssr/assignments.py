"""Single settings of a tree, by their path: `train.lr=1e-4`, `crappifier.poisson.peak=[5, 30]`."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pssr.errors import ConfigError
from pssr.parts import cut, did_you_mean, part_from, shortened
from pssr.recipes import plain, recipe

SECTIONS = ("data", "train")


def assignments(words: Sequence[str]) -> dict[str, Any]:
    """`["train.lr=1e-4"]` as `{"train.lr": 1e-4}`.

    Raises:
        ConfigError: a word without `=`.
    """
    out = {}
    for word in words:
        path, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"'{word}': write it as setting=value, for example train.lr=1e-4")
        try:
            out[path.strip()] = _number_or(plain(value))
        except yaml.YAMLError as error:
            shown = word if len(word) < 80 else f"{word[:76]} ..."
            raise ConfigError(f"'{shown}': the value is not YAML; quote it") from error
    return out


def _number_or(value: object) -> object:
    """YAML 1.1 reads 1e-4 as a string."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Replace one setting, in place.

    Steps of a crappifier are named, or numbered from 1 where a name occurs twice: `crappifier.2.sigma_px`. A part named
    alone gets all of its settings replaced: `crappifier.gaussian={sigma: 0.3}`.

    Args:
        tree: a whole config as plain dicts and lists.
        path: words between dots.
        value: of the setting.

    Raises:
        ConfigError: no such setting, or a name that occurs twice.
    """
    head, _, rest = path.partition(".")
    if head not in tree:
        raise ConfigError(f"{path}: no such setting; {did_you_mean(head, tree)}")
    if not rest:
        tree[head] = _whole(head, value)
    elif not isinstance(tree[head], list if head == "crappifier" else Mapping):
        raise ConfigError(f"{path}: {head} has no settings in it; write {head}={value}")
    elif head in SECTIONS:
        if rest not in tree[head]:
            raise ConfigError(f"{path}: no such setting; {did_you_mean(rest.rpartition('.')[2], tree[head])}")
        tree[head][rest] = value
    elif head == "loss":
        # A term may be one's own, whose module has dots in its name.
        tree[head] = {**tree[head], rest: value}
    elif head == "crappifier":
        _put_in_steps(tree[head], path, rest, value)
    else:
        _put_in_part(tree[head], path, rest, value)


def _whole(head: str, value: Any) -> Any:
    """What a first-level setting becomes: parts by their names, or a crappifier's file, as dicts that can be entered."""
    try:
        if head == "network" and isinstance(value, str | Mapping):
            part = part_from(value)
            return {part.name: dict(part.settings)}
        if head == "crappifier":
            parts = recipe(value) if isinstance(value, str) else value
            if isinstance(parts, list | tuple):
                return [{part.name: dict(part.settings)} for part in map(part_from, parts)]
    except ValueError as error:
        raise ConfigError(f"{head}: {error}") from error
    return value


def _put_in_steps(steps: list[dict[str, Any]], path: str, rest: str, value: Any) -> None:
    word, _, inside = rest.partition(".")
    if word.isdecimal():
        if not 1 <= int(word) <= len(steps):
            raise ConfigError(f"{path}: has no step {word}; there are {len(steps)}, counted from 1")
        step = steps[int(word) - 1]
        _put_in_part(step, path, ".".join(filter(None, (next(iter(step)), inside))), value)
        return
    named = [k for k, step in enumerate(steps) if _is_of(rest, next(iter(step)))]
    if not named:
        names = [next(iter(step)) for step in steps]
        raise ConfigError(f"{path}: no such step; {did_you_mean(word, names)}")
    if len(named) > 1:
        numbers = " or ".join(f"crappifier.{k + 1}" for k in named)
        raise ConfigError(f"{path}: {len(named)} steps have that name; say {numbers}")
    _put_in_part(steps[named[0]], path, rest, value)


def _is_of(rest: str, name: str) -> bool:
    return rest == name or rest.startswith(f"{name}.")


def _put_in_part(part: dict[str, Any], path: str, rest: str, value: Any) -> None:
    """Its settings are checked when it is built."""
    name = next(iter(part))
    if not _is_of(rest, name):
        raise ConfigError(f"{path}: no such part; {did_you_mean(rest.partition('.')[0], [name])}")
    setting = rest[len(name) + 1 :]
    if setting:
        part[name] = {**(part[name] or {}), setting: value}
    elif isinstance(value, Mapping):
        part[name] = dict(value)
    else:
        raise ConfigError(
            f"{path}: {shortened(value)} is none of its settings; write {path}.SETTING={cut(str(value))}"
        )

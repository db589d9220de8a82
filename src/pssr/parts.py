"""Swappable pieces, found by name in a dict that can be read or as `module:attribute`."""

import difflib
import functools
import importlib
import inspect
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pssr.errors import ConfigError, ModelError

SHOWN = 80  # characters of something wrong


@dataclass(frozen=True)
class Part:
    """A piece by name with its settings: `poisson: {peak: 100}` in YAML.

    Args:
        name: a name the package knows, or `module:attribute` of your own.
        settings: keywords for the piece.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.settings.items())})"


def part_from(value: object) -> Part:
    """A piece from its form in YAML: `poisson`, or `poisson: {peak: 100}`.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str):
        return Part(value)
    if isinstance(value, Part):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, settings),) = value.items()
        if isinstance(name, str) and isinstance(settings, Mapping | None):
            return Part(name, dict(settings or {}))
    raise ValueError("write a name, or one name with its settings, such as poisson: {peak: 100}")


def shortened(value: object) -> str:
    """A value as it is written, as far as a sentence can hold it."""
    return cut(reprlib.repr(value))


def cut(text: str) -> str:
    """A text as far as a sentence can hold it."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of an error message: the nearest known word, or all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    return f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(sorted(known)) or 'nothing'}"


def find(name: str, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The piece of that name, from `known` or from `module:attribute`.

    Args:
        name: a key of `known`, or `module:attribute` to import.
        known: the pieces the package ships.

    Returns:
        The class or function, not yet called.

    Raises:
        ConfigError: no such name, module or attribute.
    """
    if name in known:
        return known[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"{name}: no part of that name; {did_you_mean(name, known)}")
    try:
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    except ImportError as error:
        raise ConfigError(
            f"{name}: module '{module}' cannot be imported ({error}); is it on the path?"
        ) from error
    except AttributeError as error:
        raise ConfigError(f"{name}: module '{module}' has no '{attribute}'; check the spelling") from error


def build(part: Part, known: Mapping[str, Callable[..., Any]], **given: Any) -> Any:
    """A piece ready for use: a class is instantiated, a function gets its settings bound.

    Args:
        part: name and settings.
        known: the pieces the package ships.
        given: keywords that the package itself supplies, for example `scale`; a part that has no
            such parameter does not get it.

    Returns:
        The instance, or the function with its settings bound.

    Raises:
        ConfigError: unknown part, or a setting that the part does not take or refuses.
    """
    piece = find(part.name, known)
    takes = {
        name
        for name, p in inspect.signature(piece).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    for setting in part.settings:
        if setting not in takes:
            raise ConfigError(
                f"{part.name}.{setting}: no such setting; {did_you_mean(setting, takes - given.keys())}"
            )
    settings = {name: value for name, value in given.items() if name in takes} | {
        name: tuple(value) if isinstance(value, list) else value for name, value in part.settings.items()
    }
    if not inspect.isclass(piece):
        return functools.partial(piece, **settings) if settings else piece
    try:
        return piece(**settings)
    except TypeError as error:
        raise ConfigError(f"{part.name}: {error}; see its documentation") from error


def modules_of(parts: Iterable[Part]) -> frozenset[str]:
    """The modules outside pssr that parts name."""
    return frozenset(part.name.partition(":")[0] for part in parts if ":" in part.name)


def refuse_foreign(part: Part, known: Mapping[str, Callable[..., Any]], trusted: Collection[str]) -> None:
    """Stop before a downloaded file makes us import somebody's code.

    Args:
        part: as named in a model file.
        known: the pieces the package ships.
        trusted: modules that the user trusts by name.

    Raises:
        ModelError: the part names a module that is not trusted.
    """
    module = part.name.partition(":")[0]
    if part.name not in known and module not in trusted:
        raise ModelError(
            f"{part.name}: the model names code outside pssr; if you know its author, say trust=['{module}']"
        )

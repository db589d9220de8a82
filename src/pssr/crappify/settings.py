"""Settings of a degradation: one number, or a distribution from which it is drawn anew for every bundle."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.errors import ConfigError

LOG = {"drawn": "log"}  # field metadata: a plain [low, high] has equal chances per octave
WHOLE = {"drawn": "never"}  # field metadata: a pair that is a value, not a distribution


@dataclass(frozen=True)
class Uniform:
    """Equal chances between two numbers."""

    low: float
    high: float

    def quantile(self, u: Float[Tensor, "n 1 1 1"]) -> Float[Tensor, "n 1 1 1"]:
        """The number below which a share u of all draws lies."""
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogUniform:
    """Equal chances for every octave between two numbers above 0, for what spans decades."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise ConfigError(
                f"log_uniform: [{self.low}, {self.high}] is not above 0 and upwards; use uniform"
            )

    def quantile(self, u: Float[Tensor, "n 1 1 1"]) -> Float[Tensor, "n 1 1 1"]:
        """The number below which a share u of all draws lies."""
        return self.low * (self.high / self.low) ** u


@dataclass(frozen=True)
class Choice:
    """Equal chances for each of some numbers."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("choice: has nothing to choose from; give at least one number")

    def quantile(self, u: Float[Tensor, "n 1 1 1"]) -> Float[Tensor, "n 1 1 1"]:
        """The number below which a share u of all draws lies."""
        values = torch.tensor(sorted(self.values), dtype=u.dtype, device=u.device)
        return values[(u * len(self.values)).long().clamp(max=len(self.values) - 1)]


Distribution: TypeAlias = Uniform | LogUniform | Choice
Setting: TypeAlias = float | tuple[float, float] | Distribution | Tensor
DISTRIBUTIONS: dict[str, Callable[[list[float]], Distribution]] = {
    "uniform": lambda ends: Uniform(*ends),
    "log_uniform": lambda ends: LogUniform(*ends),
    "choice": lambda values: Choice(tuple(values)),
}


def distribution(value: object) -> object:
    """A distribution from its form in YAML, such as `{uniform: [1, 2]}`; anything else as it is.

    Raises:
        ConfigError: an unknown distribution, or other numbers than it takes.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((name, numbers),) = value.items()
    if name not in DISTRIBUTIONS:
        raise ConfigError(f"{name}: no such distribution; choose from {', '.join(DISTRIBUTIONS)}")
    try:
        return DISTRIBUTIONS[name](list(numbers))
    except TypeError as error:
        raise ConfigError(f"{name}: {numbers!r} will not do; write {name}: [low, high]") from error


def plain(value: Any) -> Any:
    """A setting as YAML holds it: the other way of `distribution`."""
    match value:
        case Uniform(low, high):
            return {"uniform": [low, high]}
        case LogUniform(low, high):
            return {"log_uniform": [low, high]}
        case Choice(values):
            return {"choice": list(values)}
        case tuple():
            return [plain(inner) for inner in value]
    return value


def numbers_in(value: object) -> tuple[Any, ...]:
    """The numbers that bound a setting: itself, or the ends of its distribution; () if it was drawn already."""
    match value:
        case Tensor():
            return ()
        case Uniform(low, high) | LogUniform(low, high):
            return low, high
        case Choice(values):
            return tuple(sorted(values))
        case tuple():
            return value
    return (value,)


def check_above(name: str, value: object, low: float, *, allow_equal: bool = False) -> None:
    """Refuse a setting out of range, or a distribution in the wrong order.

    Args:
        name: of the setting, as the user writes it.
        value: a number, a distribution, or drawn numbers (which were checked before they were drawn).
        low: the bound.
        allow_equal: whether the bound itself will do.

    Raises:
        ConfigError: the number is out of range or not a number.
    """
    numbers = _checked(name, value)
    if numbers and (min(numbers) < low or (not allow_equal and min(numbers) == low)):
        raise ConfigError(
            f"{name}: {min(numbers)} is {'below' if allow_equal else 'not above'} {low}; use a larger number"
        )


def check_between(name: str, value: object, low: float, high: float) -> None:
    """Refuse a setting outside two bounds, which themselves will do.

    Raises:
        ConfigError: the number is out of range or not a number.
    """
    numbers = _checked(name, value)
    wrong = next((n for n in numbers if not low <= n <= high), None)
    if wrong is not None:
        raise ConfigError(f"{name}: {wrong} is not between {low:g} and {high:g}; use a number that is")


def _checked(name: str, value: object) -> tuple[float, ...]:
    numbers = numbers_in(value)
    right = all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
    if not right or (isinstance(value, tuple) and len(value) != 2):
        raise ConfigError(f"{name}: {value!r} is not a number; write a number, [low, high] or a distribution")
    if list(numbers) != sorted(numbers):
        raise ConfigError(f"{name}: [{numbers[0]}, {numbers[-1]}] runs downwards; write [low, high]")
    return numbers


def settled(value: Setting) -> float | Tensor:
    """A setting that is one number, or was drawn; a step in a `Crappifier` always has those."""
    assert isinstance(value, int | float | Tensor), "the Crappifier draws settings before a step is called"
    return value


def each(value: Setting, like: Float[Tensor, "n f h w"]) -> Float[Tensor, "#n 1 1 1"]:
    """A settled setting as a tensor beside frames: one number for all bundles, or one for each."""
    return torch.as_tensor(settled(value), dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)


def _is_range(value: Any) -> bool:
    """Two numbers: of one's own dataclasses, other tuples are what they are."""
    pair = isinstance(value, tuple) and len(value) == 2
    return pair and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)


def settle(step: Any, n: int, rng: torch.Generator) -> Any:
    """The step with every distribution replaced by numbers drawn for each of n bundles.

    Args:
        step: a degradation; anything but a dataclass with distributions comes back as it is.
        n: bundles.
        rng: every draw comes from here.

    Returns:
        The step, its drawn settings shaped (n, 1, 1, 1).
    """
    if not dataclasses.is_dataclass(step) or isinstance(step, type):
        return step
    drawn: dict[str, Tensor] = {}
    for f in dataclasses.fields(step):
        value, how = getattr(step, f.name), f.metadata.get("drawn")
        if how != "never" and _is_range(value):
            value = LogUniform(*value) if how == "log" and value[0] > 0 else Uniform(*value)
        if isinstance(value, Uniform | LogUniform | Choice):
            drawn[f.name] = value.quantile(torch.rand((n, 1, 1, 1), generator=rng, device=rng.device))
    return dataclasses.replace(step, **drawn) if drawn else step

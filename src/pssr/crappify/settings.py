"""Settings of a degradation: one number, or `[low, high]` to be drawn anew for every bundle."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from pssr.errors import ConfigError

Setting = float | tuple[float, float] | Tensor
LOG = {"drawn": "log"}  # field metadata: equal chances per octave, for quantities that span decades


def check_above(name: str, value: object, low: float, *, allow_equal: bool = False) -> None:
    """Refuse a setting out of range, or a `[low, high]` in the wrong order.

    Args:
        name: of the setting, as the user writes it.
        value: a number, a pair, or drawn numbers (which were checked as a pair).
        low: the bound.
        allow_equal: whether the bound itself will do.

    Raises:
        ConfigError: the number is out of range or not a number.
    """
    if isinstance(value, Tensor):
        return
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) not in (1, 2) or not all(isinstance(v, int | float) for v in numbers):
        raise ConfigError(f"{name}: {value!r} is not a number; write a number or [low, high]")
    if min(numbers) < low or (not allow_equal and min(numbers) == low):
        raise ConfigError(
            f"{name}: {min(numbers)} is {'below' if allow_equal else 'not above'} {low}; use a larger number"
        )
    if list(numbers) != sorted(numbers):
        raise ConfigError(f"{name}: [{numbers[0]}, {numbers[-1]}] runs downwards; write [low, high]")


def settled(value: Setting) -> float | Tensor:
    """A setting that is one number, or was drawn; a step in a `Crappifier` always has those."""
    assert not isinstance(value, tuple), "a [low, high] is drawn by the Crappifier before the step is called"
    return value


def settle(step: Any, n: int, rng: torch.Generator) -> Any:
    """The step with every `[low, high]` replaced by numbers drawn for each of n bundles.

    Args:
        step: a degradation; anything but a dataclass with pairs comes back as it is.
        n: bundles.
        rng: every draw comes from here.

    Returns:
        The step, its drawn settings shaped (n, 1, 1, 1).
    """
    if not dataclasses.is_dataclass(step) or isinstance(step, type):
        return step
    drawn: dict[str, Tensor] = {}
    for f in dataclasses.fields(step):
        value = getattr(step, f.name)
        if isinstance(value, tuple):
            low, high = value
            u = torch.rand((n, 1, 1, 1), generator=rng, device=rng.device)
            by_octave = f.metadata.get("drawn") == "log" and low > 0
            drawn[f.name] = low * (high / low) ** u if by_octave else low + (high - low) * u
    return dataclasses.replace(step, **drawn) if drawn else step

"""The crappifier: an ordered chain of degradations from a good bundle to a bad one."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.crappify.artefacts import ARTEFACTS
from pssr.crappify.noise import NOISE
from pssr.crappify.optics import OPTICS
from pssr.crappify.scanning import SCANNING
from pssr.crappify.settings import distribution, plain, settle
from pssr.errors import ConfigError, ShapeError
from pssr.parts import Part, build

Frames = Float[Tensor, "n f h w"]
Low = Float[Tensor, "n f low_h low_w"]
Step = Callable[..., Tensor]
STEPS: dict[str, Callable[..., Step]] = {**OPTICS, **NOISE, **SCANNING, **ARTEFACTS}


@dataclass(frozen=True)
class Crappifier:
    """An ordered chain of degradations, bound to a scale.

    A step is any callable `step(frames)` or `step(frames, rng)` on (N, F, H, W) tensors; one that
    takes the generator is random. Settings given as `[low, high]` are drawn once per bundle, noise
    anew for every frame and draw.

    Args:
        steps: in the order in which light meets them.
        scale: how many times smaller the result must be.
    """

    steps: tuple[Step, ...]
    scale: int

    def __call__(self, frames: Frames, rng: torch.Generator) -> Low:
        """One bad copy of each good bundle.

        Args:
            frames: (N, F, H, W) in 0..1, H and W multiples of the scale.
            rng: every draw comes from here; on the same device as the frames.

        Returns:
            (N, F, H / scale, W / scale), mean preserved; noise may leave 0..1.

        Raises:
            ShapeError: the chain did not shrink the frames by the scale.
        """
        return self._checked(_run(self._settled(frames, rng), frames, rng), frames)

    def two_draws(self, frames: Frames, rng: torch.Generator) -> tuple[Low, Low]:
        """Two bad copies that differ in their noise alone.

        Settings are drawn once; the steps before the first random one run once for both copies.

        Args:
            frames: as for a call.
            rng: as for a call.

        Returns:
            The two copies, each as from a call.
        """
        steps = self._settled(frames, rng)
        first_random = next((k for k, step in enumerate(steps) if is_random(step)), len(steps))
        shared = _run(steps[:first_random], frames, rng)
        one, other = (_run(steps[first_random:], shared, rng) for _ in range(2))
        return self._checked(one, frames), self._checked(other, frames)

    def _settled(self, frames: Frames, rng: torch.Generator) -> list[Step]:
        return [settle(step, frames.shape[0], rng) for step in self.steps]

    def _checked(self, low: Tensor, frames: Frames) -> Tensor:
        n, f, h, w = frames.shape
        expected = (n, f, h // self.scale, w // self.scale)
        if h % self.scale or w % self.scale or tuple(low.shape) != expected:
            raise ShapeError(
                f"crappifier: made {tuple(low.shape)} of {(n, f, h, w)}; at scale {self.scale} it must make {expected}"
            )
        return low


def crappifier(parts: Sequence[Part | Step], scale: int) -> Crappifier:
    """A crappifier from named parts, callables, or both.

    Args:
        parts: in order; a `bin` or `subsample` without a factor takes the scale. A whole crappifier among them stands
            for its steps.
        scale: how many times smaller the result must be.

    Raises:
        ConfigError: unknown part or setting, or a chain that does not end at the scale.
    """
    steps = tuple(_with_scale(_built(p) if isinstance(p, Part) else p, scale) for p in opened(parts))
    chain = Crappifier(steps, scale)
    _refuse_wrong_chain(chain)
    return chain


def opened(parts: Sequence[Part | Step]) -> list[Part | Step]:
    """The parts, of which a whole crappifier is replaced by its steps."""
    found: list[Part | Step] = []
    for part in parts:
        found += part.steps if isinstance(part, Crappifier) else [part]
    return found


def part_of(step: Any) -> Part:
    """A callable by its name and settings, as a model file keeps them: `module:name` where it is one's own."""
    if isinstance(step, functools.partial) and not step.args:
        inner = part_of(step.func)
        return Part(inner.name, {key: plain(value) for key, value in step.keywords.items()})
    kind = step if hasattr(step, "__qualname__") else type(step)
    own = f"{kind.__module__}:{kind.__qualname__}"
    name = next((name for name, known in STEPS.items() if known is kind), own)
    if not dataclasses.is_dataclass(step) or isinstance(step, type):
        return Part(name)
    values = {f.name: plain(getattr(step, f.name)) for f in dataclasses.fields(step)}
    usual = {f.name: f.default for f in dataclasses.fields(step)}
    return Part(
        name, {key: value for key, value in values.items() if value is not None or usual[key] is not None}
    )


def is_random(step: Step) -> bool:
    """Whether the step takes the generator: as a second argument it needs, or as one called `rng`."""
    return _takes(step) != "frames"


def _takes(step: Step) -> Literal["frames", "rng by place", "rng by name"]:
    # Steps with settings are made anew for every bundle; how they are called is looked up once for each kind.
    return _taken_by_kind(type(step)) if dataclasses.is_dataclass(step) else _taken(step)


@cache
def _taken_by_kind(kind: type) -> Literal["frames", "rng by place", "rng by name"]:
    return _taken(partial(kind.__call__, None))


def _taken(step: Step) -> Literal["frames", "rng by place", "rng by name"]:
    parameters = inspect.signature(step).parameters
    if "rng" in parameters:
        return "rng by name"
    needed = [
        p
        for p in parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return "rng by place" if len(needed) >= 2 else "frames"


def _apply(step: Step, frames: Tensor, rng: torch.Generator) -> Any:
    takes = _takes(step)
    if takes == "frames":
        return step(frames)
    return step(frames, rng=rng) if takes == "rng by name" else step(frames, rng)


def _built(part: Part) -> Step:
    """A named step, its distributions taken from their form in YAML."""
    settings = {name: distribution(value) for name, value in part.settings.items()}
    return build(Part(part.name, settings), STEPS)  # type: ignore[no-any-return]


def _with_scale(step: Any, scale: int) -> Step:
    if (
        dataclasses.is_dataclass(step)
        and not isinstance(step, type)
        and getattr(step, "factor", scale) is None
    ):
        step = dataclasses.replace(step, factor=scale)
    return step  # type: ignore[no-any-return]


def _run(steps: Sequence[Step], frames: Tensor, rng: torch.Generator) -> Tensor:
    for step in steps:
        frames = _apply(step, frames, rng)
    return frames


def _refuse_wrong_chain(chain: Crappifier) -> None:
    """Run a small grey frame through, so that a wrong chain is refused before the training starts."""
    side, rng = 24 * chain.scale, torch.Generator().manual_seed(0)
    frames = torch.full((1, 3, side, side), 0.5)
    for number, step in enumerate(chain.steps):
        frames = _probed(f"crappifier: step {number + 1} ({_name(step)})", settle(step, 1, rng), frames, rng)
    if frames.shape[-2:] != (24, 24):
        raise ConfigError(
            f"crappifier: makes {frames.shape[-2]} x {frames.shape[-1]} of {side} x {side}; at scale {chain.scale} it must "
            "make 24 x 24; change the scale or the factors of bin and subsample"
        )


def _probed(what: str, step: Step, frames: Tensor, rng: torch.Generator) -> Tensor:
    try:
        made = _apply(step, frames, rng)
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ConfigError(f"{what}: fails on a small grey frame ({error}); try it alone") from error
    if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[:2] != frames.shape[:2]:
        shape = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise ConfigError(
            f"{what}: makes {shape} of {tuple(frames.shape)}; it must keep the first two and make (N, F, h, w)"
        )
    if not torch.isfinite(made).all():
        raise ConfigError(
            f"{what}: makes values that are no numbers; look for a division by 0 or a root of noise"
        )
    return made


def _name(step: Step) -> str:
    return getattr(step, "__name__", type(step).__name__)

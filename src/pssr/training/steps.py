"""One training step: make bad twice, restore both, compare."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.crappify.chain import Crappifier
from pssr.errors import TrainingError
from pssr.losses import TwoPass, total
from pssr.networks import Generator

OFFSET_PER_GAIN = 0.2  # offsets are better known than gains: the darkest pixels are many


@dataclass(frozen=True)
class Learner:
    """The parts of a step that stay the same.

    Args:
        net: learns.
        optimizer: of its parameters.
        crappifier: makes good bundles bad.
        weights: of the loss terms, by name.
        clip: largest norm of the gradient.
        dtype: in which the network computes; the weights stay float32.
        gain: bundles are made brighter or darker by up to this share.
    """

    net: Generator
    optimizer: torch.optim.Optimizer
    crappifier: Crappifier
    weights: Mapping[str, float]
    clip: float
    dtype: torch.dtype
    gain: float = 0.0


def two_pass(
    learner: Learner,
    good: Float[Tensor, "n f h w"],
    rng: torch.Generator,
    real: Float[Tensor, "n f low_h low_w"] | None = None,
) -> TwoPass:
    """Both answers of the network, from one forward over both bad copies.

    Args:
        learner: the network and its crappifier.
        good: bundles on the 0..1 scale.
        rng: every draw comes from here.
        real: bad bundles as the microscope made them, not a number where there are none; they take the place of the first
            copy.
    """
    first, second = learner.crappifier.two_draws(good, rng)
    lows = beside_real(repeated_alike(first, good), real), repeated_alike(second, good)
    lows, good = _brightened(lows, good, learner.gain, rng)
    low = torch.cat(lows).contiguous(memory_format=torch.channels_last)
    with torch.autocast(good.device.type, dtype=learner.dtype, enabled=learner.dtype != torch.float32):
        answers = learner.net(low)
    one, other = answers.float().chunk(2)
    middle = good.shape[1] // 2
    return TwoPass(one, other, good[:, middle : middle + 1])


def beside_real(low: Tensor, real: Tensor | None) -> Tensor:
    """Crappified bundles, and real ones where there are any.

    Args:
        low: (N, F, h, w) made of good bundles.
        real: likewise, not a number in bundles that have no real partner.
    """
    return low if real is None else torch.where(torch.isnan(real), low, real)


def repeated_alike(low: Tensor, good: Tensor) -> Tensor:
    """Bad bundles in which a frame that occurs twice, as at the ends of a movie, is twice the same.

    In use the ends repeat a frame with its noise; with fresh noise for each, a network would learn to average
    what is there no more.

    Args:
        low: (N, F, h, w) made of the good bundles.
        good: (N, F, H, W).
    """
    frames = list(low.unbind(1))
    for k in range(1, len(frames)):
        for earlier in range(k):
            same = (good[:, k] == good[:, earlier]).flatten(1).all(1)
            # An empty patch is the same in every frame, and its noise is not.
            same &= good[:, k].flatten(1).std(1) > 0
            frames[k] = torch.where(same[:, None, None], frames[earlier], frames[k])
    return torch.stack(frames, 1)


def _brightened(
    lows: tuple[Tensor, Tensor], good: Tensor, gain: float, rng: torch.Generator
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Each bundle brighter or darker and with another offset, both bad copies and the good one alike.

    The scale of a new stack can only be estimated; a network that has seen one scale alone answers an error of
    10 % in it with a wrong contrast.
    """
    if gain == 0:
        return lows, good
    draw = 2 * torch.rand((2, len(good), 1, 1, 1), generator=rng, device=good.device) - 1
    factor, offset = (1 + gain) ** draw[0], OFFSET_PER_GAIN * gain * draw[1]
    return (lows[0] * factor + offset, lows[1] * factor + offset), good * factor + offset


def learn(
    learner: Learner,
    good: Float[Tensor, "n f h w"],
    rng: torch.Generator,
    lr: float,
    real: Float[Tensor, "n f low_h low_w"] | None = None,
) -> tuple[float, dict[str, float]]:
    """One step of the optimizer on both copies together.

    Args:
        learner: what learns.
        good: bundles on the 0..1 scale, on the device.
        rng: on the same device.
        lr: learning rate of this step.
        real: as for `two_pass`.

    Returns:
        The loss, and its terms by name.

    Raises:
        TrainingError: loss or gradient is not a number; the weights are as before the step.
    """
    loss, terms = total(two_pass(learner, good, rng, real), learner.weights)
    learner.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(list(learner.net.parameters()), learner.clip)
    value = float(loss.detach())
    if not (torch.isfinite(norm) and torch.isfinite(loss)):
        raise TrainingError(
            f"loss: {value} with a gradient of {float(norm)}; use a lower train.lr, or train.precision=fp32"
        )
    for group in learner.optimizer.param_groups:
        group["lr"] = lr
    learner.optimizer.step()
    return value, {name: float(term.detach()) for name, term in terms.items()}

"""One training step: make bad twice, restore both, compare."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from pssr.crappify.chain import Crappifier
from pssr.losses import TwoPass, total
from pssr.networks import Generator
from pssr.training.distributed import ALONE, World

OFFSET_PER_GAIN = 0.2  # offsets are better known than gains: the darkest pixels are many
GROUP = 4  # bundles whose noise is drawn together: the same however a batch is divided among forwards and processes

Draws = Callable[[int], torch.Generator]  # by number of the group within the batch


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
        world: the processes that share a batch.
        scaler: keeps small gradients of float16 from becoming 0; it does nothing for other types.
    """

    net: Generator
    optimizer: torch.optim.Optimizer
    crappifier: Crappifier
    weights: Mapping[str, float]
    clip: float
    dtype: torch.dtype
    gain: float = 0.0
    world: World = ALONE
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False))


@dataclass(frozen=True)
class Learned:
    """What became of one step.

    Args:
        loss: of the whole batch; not a number where the step was skipped.
        terms: of the loss, by name.
        skipped: whether loss or gradient was not a number, so that the weights stayed as they were.
    """

    loss: float
    terms: Mapping[str, float]
    skipped: bool = False


@dataclass(frozen=True)
class Lows:
    """Both bad copies of some bundles, and what both should become.

    Args:
        first: (N, F, h, w).
        second: likewise, of another draw.
        target: what both should become, (N, 1, H, W) on the same scale.
    """

    first: Tensor
    second: Tensor
    target: Tensor


def groups(batch: int) -> list[range]:
    """The items of a batch whose noise is drawn together."""
    return [range(k, min(k + GROUP, batch)) for k in range(0, batch, GROUP)]


def made_bad(
    learner: Learner,
    good: Float[Tensor, "n f h w"],
    rng: torch.Generator,
    real: Float[Tensor, "n f low_h low_w"] | None = None,
) -> Lows:
    """Two bad copies of good bundles, as bright as one another.

    Args:
        learner: its crappifier and gain.
        good: bundles on the 0..1 scale.
        rng: every draw comes from here.
        real: bad bundles as the microscope made them, not a number where there are none; they take the place of the first
            copy.
    """
    first, second = repeated_alike(learner.crappifier.two_draws(good, rng), good)
    middle = good.shape[1] // 2
    target = good[:, middle : middle + 1]
    (first, second), target = _brightened((beside_real(first, real), second), target, learner.gain, rng)
    return Lows(first, second, target)


def two_pass(learner: Learner, lows: Lows) -> TwoPass:
    """Both answers of the network, from one forward over both bad copies."""
    low = torch.cat((lows.first, lows.second)).contiguous(memory_format=torch.channels_last)
    with torch.autocast(low.device.type, dtype=learner.dtype, enabled=learner.dtype != torch.float32):
        answers = learner.net(low)
    one, other = answers.float().chunk(2)
    return TwoPass(one, other, lows.target)


def beside_real(low: Tensor, real: Tensor | None) -> Tensor:
    """Crappified bundles, and real ones where there are any.

    Args:
        low: (N, F, h, w) made of good bundles.
        real: likewise, not a number in bundles that have no real partner.
    """
    return low if real is None else torch.where(torch.isnan(real), low, real)


def repeated_alike(lows: Sequence[Tensor], good: Tensor) -> list[Tensor]:
    """Bad bundles in which a frame that occurs twice, as at the ends of a movie, is twice the same.

    In use the ends repeat a frame with its noise; with fresh noise for each, a network would learn to average
    what is there no more.

    Args:
        lows: copies (N, F, h, w) made of the good bundles.
        good: (N, F, H, W).
    """
    copies = [list(low.unbind(1)) for low in lows]
    for k in range(1, good.shape[1]):
        for earlier in range(k):
            # Few bundles repeat a frame, and few pixels tell. A GPU would have to be waited for, and compares all as fast.
            if good.device.type == "cpu" and not _alike(good[..., ::8, ::8], k, earlier).any():
                continue
            # An empty patch is the same in every frame, and its noise is not.
            pixels = good[:, k].flatten(1)
            same = _alike(good, k, earlier) & (pixels != pixels[:, :1]).any(1)
            for frames in copies:
                frames[k] = torch.where(same[:, None, None], frames[earlier], frames[k])
    return [torch.stack(frames, 1) for frames in copies]


def _alike(good: Tensor, k: int, earlier: int) -> Tensor:
    """In which bundles two frames are the same."""
    return (good[:, k] == good[:, earlier]).flatten(1).all(1)


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
    draws: Draws,
    lr: float,
    *,
    batch: int,
    micro: int | None = None,
    real: Float[Tensor, "n f low_h low_w"] | None = None,
) -> Learned:
    """One step of the optimizer, on both copies of a batch that may be divided among processes and forwards.

    Args:
        learner: what learns.
        good: this process's bundles of the batch, on the 0..1 scale and on the device.
        draws: the generator of each group of the batch, on the same device.
        lr: learning rate of this step.
        batch: bundles of all processes.
        micro: bundles in one forward; None for all.
        real: as for `made_bad`.

    Returns:
        The loss of the whole batch, and its terms by name.
    """
    # A layer that keeps running means has changed them before it is known that the step will do.
    kept = [buffer.clone() for buffer in learner.net.buffers()]
    learner.optimizer.zero_grad(set_to_none=True)
    try:
        sums = [
            _backward(learner, part, len(part.target) / batch)
            for part in _parts(learner, good, draws, batch, micro, real)
        ]
    except BaseException:
        _put_back(learner, kept)
        raise
    names = ("loss", *learner.weights)
    found = torch.stack(sums).sum(0) if sums else torch.zeros(len(names), device=good.device)
    found = learner.world.summed(learner.net.parameters(), found)
    learner.scaler.unscale_(learner.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(_trained(learner), learner.clip)
    values = dict(zip(names, found.tolist(), strict=True))
    fine = bool(torch.isfinite(norm)) and bool(torch.isfinite(found).all())
    if fine:
        for group in learner.optimizer.param_groups:
            group["lr"] = lr
        learner.scaler.step(learner.optimizer)
    else:
        _put_back(learner, kept)
    learner.scaler.update()
    loss = values.pop("loss")
    return Learned(loss if fine else float("nan"), values, skipped=not fine)


def _parts(
    learner: Learner, good: Tensor, draws: Draws, batch: int, micro: int | None, real: Tensor | None
) -> Iterator[Lows]:
    """The bad copies of this process's bundles, as many at a time as go through the network together."""
    made, start = [], 0
    for number in learner.world.share(len(groups(batch))):
        stop = start + len(groups(batch)[number])
        partner = None if real is None else real[start:stop]
        made.append(made_bad(learner, good[start:stop], draws(number), partner))
        start = stop
    if not made:
        return
    whole = [torch.cat(copies) for copies in zip(*((m.first, m.second, m.target) for m in made), strict=True)]
    for first, second, sharp in zip(*(torch.split(copies, micro or start) for copies in whole), strict=True):
        yield Lows(first, second, sharp)


def _backward(learner: Learner, lows: Lows, share: float) -> Tensor:
    """Add the gradient of some bundles; the loss and its terms, each as its share of the batch's."""
    loss, terms = total(two_pass(learner, lows), learner.weights)
    learner.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]
    return torch.stack([loss.detach(), *(terms[name].detach() for name in learner.weights)]) * share


@torch.no_grad()
def _put_back(learner: Learner, kept: list[Tensor]) -> None:
    for buffer, before in zip(learner.net.buffers(), kept, strict=True):
        buffer.copy_(before)


def _trained(learner: Learner) -> list[torch.nn.Parameter]:
    return [p for p in learner.net.parameters() if p.requires_grad]

"""What does everything around the network cost in training, in time and in memory?

Steps per second of `fit`, beside bare loops of the same network, batch and precision, in alternating blocks of one run; and
peak memory with a small and a tenfold movie whose planes are computed when they are asked for.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import l1_loss

from pssr.config import Config, preset
from pssr.crappify.chain import crappifier
from pssr.data.cache import PlaneCache
from pssr.data.intensity import measure
from pssr.data.patches import Patches
from pssr.data.split import Piece
from pssr.networks import network
from pssr.training.events import Event, PhaseStarted, Step
from pssr.training.fit import fit

SIDE = 1024  # of a plane: 2 MiB
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NEVER = 10**6  # steps or seconds: saving and validating are not what is asked here
WARM_UP = 3  # steps of each loop before anything is timed


@dataclass(frozen=True)
class Computed:
    """A movie of any size: blobs that wander, computed when a frame is asked for.

    Args:
        frames: how many.
    """

    frames: int

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, t: int, /) -> np.ndarray:
        if not 0 <= t < self.frames:
            raise IndexError(t)
        return np.roll(self.first, (37 * t, 11 * t), (0, 1))

    @cached_property
    def first(self) -> np.ndarray:
        """Frame 0, which all others are a shift of."""
        y, x = np.ogrid[:SIDE, :SIDE]
        waves = np.sin(y / 9.0) * np.sin(x / 7.0) + np.sin((x + 2 * y) / 23.0)
        return np.asarray(1000 + 1500 * np.clip(waves, 0, None)).astype(np.uint16)


def main() -> None:
    """Print one table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a few steps, to see that it works")
    options.add_argument("--peak-of", nargs=4, metavar=("GB", "POLICY", "CACHE_GB", "STEPS"))
    asked = options.parse_args()
    if asked.peak_of:
        gb, policy, cache_gb, steps = asked.peak_of
        print(peak_here(float(gb), policy, float(cache_gb), int(steps)))
        return
    print(f"{'':<54}{'':>14}{'of the first':>14}")
    for size in ("fast",) if asked.quick else ("fast", "small"):
        speed(size, blocks=3 if asked.quick else 7, steps=5 if asked.quick else 20)
    for policy in ("ram",) if asked.quick else ("ram", "disk", "none"):
        memory(policy, quick=asked.quick)


def speed(size: str, blocks: int, steps: int) -> None:
    """Steps per second of three loops that take turns; medians over blocks.

    Args:
        size: of the network.
        blocks: of each loop.
        steps: in a block.
    """
    movie = Computed(40)
    config = preset("movie").changed({
        "train.steps": NEVER, "train.validate_every": NEVER, "train.save_every_s": NEVER, "network.edsr.size": size
    })  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(fit(config, [movie], Path(folder) / "run")) as events,
    ):
        started = next(event for event in events if isinstance(event, PhaseStarted))
        good = batch(config, movie)
        loops = {
            "bare network": bare(config, good, started.precision, crappify=False),
            "bare network and crappifier": bare(config, good, started.precision, crappify=True),
            "pssr.fit": lambda: to_next_step(events),
        }
        taken: dict[str, list[float]] = {name: [] for name in loops}
        for one in loops.values():
            timed(one, WARM_UP)
        for _ in range(blocks):
            for name, one in loops.items():
                taken[name].append(timed(one, steps))
    bare_s, crappified_s, fit_s = (statistics.median(times) for times in taken.values())
    for name, times in taken.items():
        middle = statistics.median(times)
        print(
            f"{f'{size}, {name}, steps / s, {started.precision}':<54}{1 / middle:>14.2f}{bare_s / middle:>14.3f}"
        )
    # Blocks beside each other had the same weather.
    ratios = [b / f for b, f in zip(taken["bare network and crappifier"], taken["pssr.fit"], strict=True)]
    print(
        f"{f'{size}, pssr.fit of bare network and crappifier':<54}{crappified_s / fit_s:>14.3f}"
        f"   blocks {min(ratios):.3f} to {max(ratios):.3f}"
    )


def timed(one: Callable[[], None], steps: int) -> float:
    """Seconds of a step, the mean of a few in a row."""
    start = time.perf_counter()
    for _ in range(steps):
        one()
    return (time.perf_counter() - start) / steps


def to_next_step(events: Generator[Event, None, None]) -> None:
    """Train until one more step is done."""
    next(event for event in events if isinstance(event, Step))


def batch(config: Config, movie: Computed) -> torch.Tensor:
    """Real patches for the bare loops: what noise costs depends on how bright they are."""
    data, cache = config.data, PlaneCache([movie])
    patches = Patches(
        cache, [Piece(0, 0, len(movie), 0, SIDE)], [measure(movie)], frames=config.frames, ends=config.ends,
        size_px=data.patch_px, batch=data.batch, seed=1,
    )  # fmt: skip
    return torch.from_numpy(np.stack([patches[k][0] for k in range(data.batch)]))


def bare(config: Config, good: torch.Tensor, precision: str, *, crappify: bool) -> Callable[[], None]:
    """A step of a loop that anyone could write in ten lines.

    Args:
        config: network, crappifier and learning rate.
        good: (N, F, H, W), the same at every step.
        precision: `fp32`, `bf16` or `fp16`.
        crappify: whether the bad copies are made anew at every step, or once.
    """
    net = network(config.network, frames=config.frames, scale=config.scale)
    net = net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.train.lr)
    make_bad, rng = crappifier(config.crappifier, config.scale), torch.Generator().manual_seed(0)
    middle = good[:, config.frames // 2 : config.frames // 2 + 1]
    dtype = DTYPES[precision]

    def low() -> torch.Tensor:
        return torch.cat(make_bad.two_draws(good, rng)).contiguous(memory_format=torch.channels_last)

    fixed = low()

    def step() -> None:
        bad = low() if crappify else fixed
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            answers = net(bad)
        one, other = answers.float().chunk(2)
        loss = l1_loss(one, middle) + l1_loss(other, middle) + l1_loss(one, other)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def memory(policy: str, *, quick: bool) -> None:
    """Peak memory of a training on a movie and on one of ten times the length.

    Args:
        policy: where planes stay.
        quick: movies of a tenth of the size.
    """
    sizes, cache_gb, steps = ((0.1, 1.0), 0.05, 10) if quick else ((1.0, 10.0), 0.3, 40)
    peaks = [peak(gb, policy, cache_gb, steps) for gb in sizes]
    for gb, bytes_ in zip(sizes, peaks, strict=True):
        name = f"peak MB, {gb:g} GB of planes, cache {policy}, {cache_gb:g} GB"
        print(f"{name:<54}{bytes_ / 1e6:>14.0f}{bytes_ / peaks[0]:>14.3f}", flush=True)


def peak(gb: float, policy: str, cache_gb: float, steps: int) -> int:
    """Bytes, of a process of its own."""
    words = [str(word) for word in (gb, policy, cache_gb, steps)]
    done = subprocess.run(
        [sys.executable, __file__, "--peak-of", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1])


def peak_here(gb: float, policy: str, cache_gb: float, steps: int) -> int:
    """Train in this process, and say how many bytes it took at most."""
    movie = Computed(round(gb * 1e9 / (2 * SIDE * SIDE)))
    config = preset("movie").changed({
        "train.steps": steps, "train.precision": "fp32", "data.cache": policy, "data.cache_gb": cache_gb
    })  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(fit(config, [movie], Path(folder) / "run")) as events,
    ):
        for _ in events:
            pass
    # What getrusage says is at least the peak of the process that started this one.
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()

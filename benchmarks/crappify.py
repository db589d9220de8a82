"""What does making a batch bad twice cost beside the training step? Medians, measured alternately in one run."""

import statistics
import sys
import time
from dataclasses import replace

import torch

from pssr.config import preset
from pssr.crappify.chain import crappifier
from pssr.networks import network
from pssr.parts import Part
from pssr.recipes import recipe, recipes
from pssr.training.steps import Learner, learn

N, FRAMES, SIDE, SCALE, RUNS = 16, 3, 256, 4, 7


def main(device: str = "cpu") -> None:
    """Print one table: milliseconds of two draws, and their share of a step of `edsr` small."""
    config = preset("movie")
    net = network(Part("edsr", {"size": "small"}), frames=FRAMES, scale=SCALE).to(device)
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    chain = crappifier(config.crappifier, SCALE)
    learner = Learner(net, optimizer, chain, config.loss, 1.0, torch.float32, 0.0)
    rng = torch.Generator(device).manual_seed(0)
    good = torch.rand((N, FRAMES, SIDE, SIDE), generator=rng, device=device)
    print(f"{'crappifier':<20}{'ms of two draws':>17}{'of a step':>11}")
    for name in recipes():
        learner = replace(learner, crappifier=crappifier(recipe(name), SCALE))
        taken: dict[str, list[float]] = {"crappify": [], "step": []}
        for _ in range(RUNS):
            taken["crappify"].append(timed(device, lambda one=learner: one.crappifier.two_draws(good, rng)))
            taken["step"].append(
                timed(device, lambda one=learner: learn(one, good, lambda _: rng, 1e-4, batch=N))
            )
        alone, whole = (statistics.median(times) for times in taken.values())
        print(f"{name:<20}{1000 * alone:>17.1f}{alone / whole:>11.1%}", flush=True)


def timed(device: str, work: object) -> float:
    """Seconds, the device's work included."""
    start = time.perf_counter()
    work()  # type: ignore[operator]
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])

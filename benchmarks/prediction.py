"""What does everything around the network cost? Predictor against the bare network over the same frames."""

import statistics
import time

import numpy as np
import torch

from pssr.config import preset
from pssr.model_file import Model
from pssr.networks import network
from pssr.predict.predictor import Predictor

FRAMES, SIDE, RUNS = 8, 256, 5


def main() -> None:
    """Print one table: seconds per output megapixel, and the ratio to the bare network."""
    config = preset("movie")
    net = network(config.network, frames=config.frames, scale=config.scale)
    predictor = Predictor.of(Model(config, net.state_dict(), (0.0, 1.0), (), 0, {}), device="cpu")
    movie = np.random.default_rng(0).integers(0, 4000, (FRAMES, SIDE, SIDE)).astype(np.uint16)
    bundle = torch.rand(1, config.frames, SIDE, SIDE).contiguous(memory_format=torch.channels_last)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(FRAMES):
                predictor.net(bundle)

    def whole() -> None:
        for _ in predictor.frames(movie):
            pass

    def tiled() -> None:
        for _ in Predictor(predictor.model, predictor.net, predictor.device, tile_px=128).frames(movie):
            pass

    ways = {"bare network": bare, "Predictor, whole frames": whole, "Predictor, tiles of 128": tiled}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    pixels = FRAMES * (SIDE * config.scale) ** 2 / 1e6
    base = statistics.median(times["bare network"])
    print(f"{'way':<28}{'s / Mpx':>10}{'of bare':>10}")
    for name, taken in times.items():
        print(f"{name:<28}{statistics.median(taken) / pixels:>10.4f}{statistics.median(taken) / base:>10.2f}")


if __name__ == "__main__":
    main()

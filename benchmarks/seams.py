"""Do tiles show? The largest difference between a frame restored in tiles and the whole frame, for each network and tile."""

import numpy as np
import torch

from pssr.networks.edsr import SIZES, edsr
from pssr.predict.engine import Engine

SHAPE, TILES, WHOLE = (161, 203), (32, 64, 100, 256), 4096


def main() -> None:
    """Print one table, as it stands in docs/concepts/tiles.md."""
    torch.manual_seed(0)
    rng, device = np.random.default_rng(0), torch.device("cpu")
    bundle = [torch.from_numpy(rng.random((1, *SHAPE), np.float32)) for _ in range(3)]
    print("| network | precision |" + "".join(f" {side} |" for side in TILES))
    for size in SIZES:
        net = edsr(frames=3, scale=4, size=size).to(memory_format=torch.channels_last).eval()
        for precision in ("fp32", "bf16"):
            whole = Engine(net, device, precision, WHOLE)(bundle)
            apart = [float((Engine(net, device, precision, s)(bundle) - whole).abs().max()) for s in TILES]
            print(f"| {size} | {precision} |" + "".join(f" {d:.1e} |" if d else " 0 |" for d in apart))


if __name__ == "__main__":
    main()

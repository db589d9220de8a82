"""What does the weight of the stability loss cost on a movie of one's own? `python benchmarks/stability.py FILE...`."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pssr

WEIGHTS, SECONDS, ACQUISITIONS = (0.0, 0.4, 1.0), 60.0, 5


def main(files: Sequence[str]) -> None:
    """Print one table: PSNR on held-back frames, flicker and texture, by weight."""
    movies = pssr.movies(files, channel="all")
    print(f"{'w':>5}{'restored dB':>13}{'bicubic dB':>12}{'flicker':>9}{'texture':>9}")
    for weight in WEIGHTS:
        config = pssr.preset("movie").changed({"loss.stability": weight, "train.max_time_s": SECONDS})
        with tempfile.TemporaryDirectory() as folder:
            for _ in pssr.fit(config, movies, Path(folder) / "run"):
                pass
            model = pssr.load(Path(folder) / "run")
        unseen = [np.stack([m[t] for t in range(len(m) - len(m) // 10 + 1, len(m))]) for m in movies]
        scores = [pssr.evaluate(model, movie, seed=k) for movie in unseen for k in range(ACQUISITIONS)]
        mean = {
            way: np.mean([[s[way].psnr_db, s[way].flicker, s[way].texture] for s in scores], axis=0)
            for way in ("restored", "bicubic")
        }
        db, flicker, texture = mean["restored"]
        print(
            f"{weight:>5.1f}{db:>13.2f}{mean['bicubic'][0]:>12.2f}{flicker:>9.4f}{texture:>9.2f}", flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])

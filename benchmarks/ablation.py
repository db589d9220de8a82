"""Does the method hold? Frames of a bundle against the weight of the stability loss, every arm trained for the same time.

`python benchmarks/ablation.py [--seconds 100] [--jobs 2] [--out FILE]`; `--report` prints the tables alone; `--report --out
benchmarks/ablation.jsonl` those of docs/concepts/stability.md. The weight w is the
config's `loss.stability`: L1(Y1, T) + L1(Y2, T) + w L1(Y1, Y2); arms of weight 0 restore both copies too. The network is `edsr`,
size fast, scale 4, on one thread. A step's CPU time is measured first, frame counts in turn, and each arm gets as many steps as
fill its seconds: a busy machine favours none. Three materials: simulated tubules; FIB-SEM sections, neighbours along Z; Airyscan
movies (both from the folder in PSSR_TEST_DATA). All figures are of frames held back. A killed run goes on when started again.

The rule, written before any arm was run, among the weights at 3 frames, which is what the preset `movie` uses. A weight holds
where, against weight 0 on the same material, as means over the seeds that both have:
- its flicker is at most 0.85 of weight 0's,
- its PSNR on the moving scene is at most 0.1 dB below weight 0's,
- its high-frequency energy is at least 0.8 of weight 0's (not of the truth's).
It must hold on simulated movies and both real materials. Of those that do, the one with the lowest flicker wins, as the mean over
materials of its share of weight 0's. If none does, the verdict names the conditions that fail. "HF energy" in the tables is the
share of the truth's (`texture` elsewhere), from half the low-resolution Nyquist frequency up to it.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pssr
from pssr.config import Config
from pssr.crappify.chain import crappifier
from pssr.data.intensity import measure
from pssr.metrics import band_energy, flicker, psnr, ssim
from pssr.predict.evaluate import STILL_FRAMES, acquire
from pssr.predict.predictor import Predictor
from pssr.simulate import tubules
from pssr.training.events import Step

FRAMES, WEIGHTS, SEEDS = (3, 1, 5), (0.0, 0.2, 0.5, 1.0, 2.0, 4.0), 3
RECIPES = {"simulated": "point_scan", "fibsem": "sem", "airyscan": "airyscan"}  # what makes each material bad
JUDGED_FRAMES, FLICKER, LOSS_DB, ENERGY = 3, 0.85, 0.1, 0.8  # the rule
ACQUISITIONS = 3  # of every test movie, each with other settings of the crappifier; the same in every arm
WARM_UP, ROUNDS, ROUND = 10, 5, 10  # steps before the timing, and in each of its rounds
TRAIN_MOVIES, TEST_MOVIES, LENGTH, SIDE_PX = 3, 2, 24, 256
FIGURES = {  # with the digits to print
    "psnr_db": ("PSNR moving", 2), "psnr_still_db": ("PSNR still", 2), "ssim": ("SSIM", 3),
    "flicker": ("flicker", 4), "tdiff": ("tdiff", 4), "texture": ("HF energy", 2),
}  # fmt: skip

Row = Mapping[str, Any]
Movies = list[np.ndarray]


@dataclass(frozen=True)
class Arm:
    """One training: what it learns from, and how."""

    source: str
    frames: int
    weight: float
    seed: int

    def config(self, steps: int) -> Config:
        """The preset `movie` with what this arm changes."""
        return pssr.preset("movie").changed({
            "seed": self.seed, "frames": self.frames, "crappifier": RECIPES[self.source],
            "loss": {"l1": 1.0, "stability": self.weight}, "data.held_back": 0.0, "train.steps": steps,
            "train.precision": "fp32", "train.device": "cpu", "train.save_every_s": 3600.0,
        })  # fmt: skip


def main() -> None:
    """Train what is missing, then print the tables and the verdict."""
    given = _arguments()
    rows = finished(given.out)
    if not given.report:
        other = {row["seconds"] for row in rows} - {given.seconds}
        if other:
            sys.exit(f"{given.out}: holds arms of {other.pop():g} s; name another file with --out")
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")  # no half line
        sources = [given.only] if given.only else RECIPES
        order = itertools.product(range(given.seeds), given.frames, sources, given.weights)
        arms = [Arm(source, frames, weight, seed) for seed, frames, source, weight in order]
        for row in trained(arms, rows, given.seconds, given.jobs):
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        rows = finished(given.out)
    rows = [row for row in rows if "seed" in row]  # no timings
    print(f"{tables(rows)}\n\n{verdict(rows)}")


def finished(path: Path) -> list[Row]:
    """The lines of an output file; a last one that was cut off by a kill is left out."""
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def trained(arms: Sequence[Arm], rows: Sequence[Row], seconds: float, jobs: int) -> Iterator[Row]:
    """A row for each timing and each arm that is not yet among the rows."""
    step_s = {(row["source"], row["frames"]): row["step_s"] for row in rows if "seed" not in row}
    done = {Arm(**{k: row[k] for k in Arm.__annotations__}) for row in rows if "seed" in row}
    missing = [arm for arm in arms if arm not in done]
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for source in dict.fromkeys(arm.source for arm in missing):
            counts = sorted({arm.frames for arm in missing if arm.source == source})
            if any((source, frames) not in step_s for frames in counts):
                for frames, taken in pool.submit(step_seconds, source, counts).result().items():
                    # What was trained before keeps its number of steps.
                    if step_s.setdefault((source, frames), taken) == taken:
                        yield {"source": source, "frames": frames, "step_s": taken, "seconds": seconds}
        running = [pool.submit(run, arm, step_s[arm.source, arm.frames], seconds) for arm in missing]
        for one in as_completed(running):
            yield one.result()


def step_seconds(source: str, counts: Sequence[int]) -> dict[int, float]:
    """CPU seconds of a training step by frame count: medians of rounds that are run in turn."""
    taken: dict[int, list[float]] = {frames: [] for frames in counts}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        steps = WARM_UP + ROUNDS * ROUND
        runs = {}
        for frames in counts:
            config, out = Arm(source, frames, 0.0, 0).config(steps), folder / str(frames)
            runs[frames] = stack.enter_context(closing(pssr.fit(config, material(source)[0], out)))
        for until in range(WARM_UP, steps + 1, ROUND):
            for frames, events in runs.items():
                start = time.process_time()
                for event in events:
                    if isinstance(event, Step) and event.step >= until:
                        break
                taken[frames].append((time.process_time() - start) / ROUND)
    return {frames: float(np.median(rounds[1:])) for frames, rounds in taken.items()}


def run(arm: Arm, step_s: float, seconds: float) -> Row:
    """Train one arm for as many steps as fill the seconds, and test it."""
    (good, unseen), steps = material(arm.source), max(1, round(seconds / step_s))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for _ in pssr.fit(arm.config(steps), good, Path(folder) / "run"):
            pass
        cpu_s = time.process_time() - start
        found = figures(pssr.load(Path(folder) / "run", device="cpu"), unseen)
    return {**asdict(arm), "steps": steps, "seconds": seconds, "cpu_s": round(cpu_s, 1), **found}


def figures(model: Predictor, movies: Movies) -> dict[str, float]:
    """Means over the test movies and their acquisitions."""
    config, found = model.model.config, []
    make_bad = crappifier(config.crappifier, config.scale)
    for movie in movies:
        scale = measure(movie)
        h, w = (side // config.scale * config.scale for side in movie.shape[1:])
        truth, span = movie[:, :h, :w], scale.high - scale.low
        scene = np.repeat(truth[len(truth) // 2][None], STILL_FRAMES, 0)
        for k in range(ACQUISITIONS):
            rng = torch.Generator().manual_seed(k)
            made, still = (model.predict(acquire(good, make_bad, scale, rng)) for good in (truth, scene))
            found.append([
                psnr(made, truth, data_range=span), psnr(still, scene, data_range=span),
                ssim(list(made), list(truth), data_range=span), flicker(still, data_range=span),
                tdiff(made, truth, span), band_energy(made, truth, low=0.25 / config.scale, high=0.5 / config.scale),
            ])  # fmt: skip
    return dict(zip(FIGURES, np.mean(found, 0).tolist(), strict=True))


def tdiff(restored: np.ndarray, truth: np.ndarray, span: float) -> float:
    """Root mean square error of the differences from frame to frame, as a share of full scale."""
    change, true_change = (np.diff(movie.astype(np.float64), axis=0) for movie in (restored, truth))
    return float(np.sqrt(np.mean((change - true_change) ** 2)) / span)


@cache
def material(source: str) -> tuple[Movies, Movies]:
    """The movies of a source, those to learn from and those to be tested on apart."""
    return {"simulated": _simulated, "fibsem": _fibsem, "airyscan": _airyscan}[source]()


def _simulated() -> tuple[Movies, Movies]:
    movies = [tubules(LENGTH, SIDE_PX, seed=k).frames for k in range(TRAIN_MOVIES + TEST_MOVIES)]
    counts = [np.rint(200 + 4000 * movie).astype(np.uint16) for movie in movies]
    return counts[:TRAIN_MOVIES], counts[TRAIN_MOVIES:]


def _fibsem() -> tuple[Movies, Movies]:
    """Sections of 520 px to learn from, and of 250 px from another place for the test."""
    folder = _data() / "em_fibsem_medulla"
    files = [sorted(folder.glob(f"dev_{name}/*.png")) for name in ("validation_sample", "training_sample1")]
    large, small = (np.stack([pssr.open_stack(path).plane() for path in paths]) for paths in files)
    return [large], [small]


def _airyscan() -> tuple[Movies, Movies]:
    """A long series, of which the last frames are held back, and a short one, of which the lowest rows are."""
    names = ("live_mito_*/*_cell12_T100.czi", "czi_readers/Airyscan_T3_*.czi")
    both = [pssr.movies(_data().glob(name), channel="all") for name in names]
    long, short = ([np.stack([m[t] for t in range(len(m))]) for m in movies] for movies in both)
    good = [*(movie[:78] for movie in long), *(movie[:, :320] for movie in short)]
    return good, [*(movie[82:] for movie in long), *(movie[:, 352:] for movie in short)]


def _data() -> Path:
    if "PSSR_TEST_DATA" not in os.environ:
        sys.exit("PSSR_TEST_DATA: not set; name the folder with real files, or say --only simulated")
    return Path(os.environ["PSSR_TEST_DATA"])


def tables(rows: Sequence[Row]) -> str:
    """One Markdown table for each material: means, and standard deviations over seeds."""
    lines: list[str] = []
    names = " | ".join(name for name, _ in FIGURES.values())
    for source in dict.fromkeys(row["source"] for row in rows):
        lines += ["", f"{source}, made bad by `{RECIPES[source]}`", ""]
        lines += [f"| frames | w | seeds | steps | {names} |", "|---" * (4 + len(FIGURES)) + "|"]
        for frames, weight in sorted({(r["frames"], r["weight"]) for r in rows if r["source"] == source}):
            of = [r for r in rows if (r["source"], r["frames"], r["weight"]) == (source, frames, weight)]
            cells = [_cell([row[name] for row in of], digits) for name, (_, digits) in FIGURES.items()]
            lines.append(f"| {frames} | {weight:g} | {len(of)} | {of[0]['steps']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def verdict(rows: Sequence[Row]) -> str:
    """Which weight wins by the rule above, as Markdown; rows have source, frames, weight, seed and figures."""
    judged = [row for row in rows if row["frames"] == JUDGED_FRAMES]
    sources = [name for name in RECIPES if any(row["source"] == name for row in judged)]
    weights = sorted({row["weight"] for row in judged} - {0})
    found = {(w, s): _against_zero(judged, s, w) for w in weights for s in sources}
    why = {key: ", ".join(_wrong(figures)) for key, figures in found.items()}
    wrong = {w: [f"{s} ({why[w, s]})" for s in sources if why[w, s]] for w in weights}
    lines = ["| w | material | flicker of weight 0's | PSNR, dB above weight 0's | HF energy of weight 0's |"]
    lines.append("|---" * 5 + "|")
    for (w, s), figure in found.items():
        if figure:
            lines.append(f"| {w:g} | {s} | {figure[0]:.2f} | {figure[1]:+.2f} | {figure[2]:.2f} |")
    missing = ", ".join(name for name in RECIPES if name not in sources)
    share = {w: float(np.mean([found[w, s][0] for s in sources])) for w in weights if not wrong[w]}
    best, steady = min(share.items(), key=lambda pair: pair[1], default=(0.0, 1.0))
    won = f"**w = {best:g} wins**, with {steady:.2f} of weight 0's flicker."
    won = (won if share else "**No weight holds.**") + f" Not judged on {missing}." * bool(missing)
    lines += ["", won, ""]
    return "\n".join([*lines, *(f"- w = {w:g} fails on {'; '.join(on)}" for w, on in wrong.items() if on)])


def _against_zero(rows: Sequence[Row], source: str, weight: float) -> tuple[float, ...]:
    """Share of flicker, dB won and share of high-frequency energy, over the seeds that both weights have; () for none."""
    by = {(row["weight"], row["seed"]): row for row in rows if row["source"] == source}
    seeds = [seed for w, seed in by if w == weight and (0, seed) in by]
    names = ("flicker", "psnr_db", "texture")
    own, zero = ([sum(by[w, seed][name] for seed in seeds) for name in names] for w in (weight, 0))
    return (own[0] / zero[0], (own[1] - zero[1]) / len(seeds), own[2] / zero[2]) if seeds else ()


def _wrong(figures: tuple[float, ...]) -> list[str]:
    """The conditions that fail."""
    if not figures:
        return ["not run"]
    share, db, energy = (round(figure, 9) for figure in figures)  # 29.9 - 30.0 is a little below -0.1
    return [
        *([f"flicker {share:.3f} > {FLICKER}"] if share > FLICKER else []),
        *([f"PSNR {db:+.2f} dB < -{LOSS_DB}"] if db < -LOSS_DB else []),
        *([f"HF energy {energy:.2f} < {ENERGY}"] if energy < ENERGY else []),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Frames against the weight of the stability loss.")
    parser.add_argument("--seconds", type=float, default=100.0, help="CPU seconds of training for each arm")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many")
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES)
    parser.add_argument("--weights", type=float, nargs="+", default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "pssr-ablation.jsonl")
    parser.add_argument("--jobs", type=int, default=2, help="arms at the same time, each on one thread")
    parser.add_argument("--only", choices=list(RECIPES))
    parser.add_argument("--report", action="store_true", help="print the tables of the file alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()

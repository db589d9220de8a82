"""The whole job on one page: good movies in, two networks trained, another movie acquired badly and restored."""

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from pssr.config import preset
from pssr.crappify.chain import crappifier
from pssr.data.intensity import Intensity, Planes, measure
from pssr.data.split import Piece, split
from pssr.errors import ConfigError, WriteError
from pssr.io.atomic import write_whole
from pssr.io.video import write_mp4
from pssr.io.write import StackWriter
from pssr.pictures import Panel, row_of
from pssr.predict.evaluate import STILL_FRAMES, Scores, acquire, bicubic, score
from pssr.predict.events import Progress
from pssr.predict.predictor import Predictor
from pssr.simulate import tubules
from pssr.training.events import Step
from pssr.training.fit import fit

DARK_COUNTS, FULL_COUNTS = 200, 4000  # offset of the detector, and what the brightest structure adds to it
TRAIN_MOVIES, FRAMES, SIDE_PX = 3, 24, 256
LARGEST_TEST = (24, 512)  # frames and pixels of a person's own movie that the table is made from
# The acquisition that is restored: 50 photons at full scale, and a read noise of 3 % of it.
ACQUISITION = {
    "crappifier.blur.sigma_px": 0.4,
    "crappifier.poisson.peak": 50.0,
    "crappifier.gaussian.sigma": 0.03,
}
# What is trained for: the acquisition known within a factor of two, as a person knows their own microscope.
TRAINED_FOR = {
    "crappifier.blur.sigma_px": [0.2, 0.6],
    "crappifier.poisson.peak": [25.0, 100.0],
    "crappifier.gaussian.sigma": [0.02, 0.04],
}
ARMS = {"one frame, plain L1": "single", "three frames + stability": "movie"}
ZOOM = 24  # low-resolution pixels along a side of the comparison picture


@dataclass(frozen=True)
class Material:
    """What the demo learns from and what it is judged on.

    Args:
        train: good movies to learn from.
        truth: another good movie, (T, Y, X).
        pixel_size_um: of the good frames; None where unknown.
        interval_s: between frames; None where unknown.
        name: of the channel.
    """

    train: Sequence[Planes]
    truth: np.ndarray
    pixel_size_um: float | None
    interval_s: float | None
    name: str


@dataclass(frozen=True)
class Cut:
    """Some frames and rows of a movie, read when asked for."""

    movie: Planes
    piece: Piece

    @property
    def name(self) -> str:
        """As the whole movie's."""
        return f"{getattr(self.movie, 'name', 'movie')} frames {self.piece.start} to {self.piece.stop - 1}"

    @property
    def stack(self) -> object:
        """Where pixel size and interval are."""
        return getattr(self.movie, "stack", None)

    def __len__(self) -> int:
        return self.piece.stop - self.piece.start

    def __getitem__(self, t: int) -> np.ndarray:
        return np.asarray(self.movie[self.piece.start + t])[self.piece.top : self.piece.bottom]


@dataclass(frozen=True)
class Stage:
    """How far a stage of the demo is, 0..1."""

    name: str
    share: float


@dataclass(frozen=True)
class Table:
    """The result: scores by way of restoring, and the files written."""

    scores: dict[str, Scores]
    files: tuple[Path, ...]


def run(
    out: Path, movies: Sequence[Planes] = (), *, train_s: float = 110.0, seed: int = 0
) -> Generator[Stage | Table, None, None]:
    """Simulate or take good movies, train both networks for the same time, restore an unseen movie, compare.

    Args:
        out: folder for all files; its trainings are continued if they were interrupted.
        movies: a person's own high-resolution movies; none simulates tubules.
        train_s: seconds of training for each network.
        seed: of every random draw.

    Yields:
        `Stage` as the work goes on, and one `Table` at the end.
    """
    if find_spec("imageio_ffmpeg") is None:
        raise WriteError(f"{out}: writing MP4 needs imageio-ffmpeg; pip install 'pssr-toolkit[movie]'")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{out}: cannot be made ({error.strerror}); choose another folder") from error
    material = _own(movies) if movies else (yield from _simulated(seed))
    predictors = {}
    for name, preset_name in ARMS.items():
        config = preset(preset_name).changed({**TRAINED_FOR, "seed": seed, "train.max_time_s": train_s})
        folder = out / "runs" / preset_name
        with closing(fit(config, material.train, folder)) as events:
            for event in events:
                if isinstance(event, Step):
                    yield Stage(f"train: {name}", event.progress)
        predictors[name] = Predictor.load(folder)
    yield from _judge(out, material, predictors, seed)


def _simulated(seed: int) -> Generator[Stage, None, Material]:
    """Good movies of tubules, in counts of a camera; the last one is another field, for the test."""
    made = []
    for k in range(TRAIN_MOVIES + 1):
        movie = tubules(FRAMES, SIDE_PX, seed=1000 * seed + k)
        made.append(movie)
        yield Stage("simulate living tubules", (k + 1) / (TRAIN_MOVIES + 1))
    counts = [np.rint(DARK_COUNTS + FULL_COUNTS * movie.frames).astype(np.uint16) for movie in made]
    return Material(counts[:-1], counts[-1], made[0].pixel_size_um, made[0].interval_s, "tubules")


def _own(movies: Sequence[Planes]) -> Material:
    """A person's movies: most to learn from, held-back frames as the truth."""
    shapes = [(len(m), *np.asarray(m[0]).shape) for m in movies]
    good, held = split(shapes, frames=3, ends="reflect", share=0.2, least_rows=64)
    if not held:
        raise ConfigError(
            "demo: the movies are too few and too short to hold any frames back; give at least 20 frames"
        )
    piece = max(held, key=lambda p: p.stop - p.start)
    cut = Cut(movies[piece.movie], piece)
    frames, side = LARGEST_TEST
    truth = np.stack([cut[t][:side, :side] for t in range(min(len(cut), frames))])
    stack = cut.stack
    return Material(
        [Cut(movies[p.movie], p) for p in good],
        truth,
        getattr(stack, "pixel_size_um", None),
        getattr(stack, "interval_s", None),
        getattr(movies[piece.movie], "channel", "channel 0"),
    )


def _judge(
    out: Path, material: Material, predictors: dict[str, Predictor], seed: int
) -> Generator[Stage | Table, None, None]:
    truth, scale = material.truth, measure(material.truth)
    config = preset("movie").changed(ACQUISITION)
    make_bad, rng = crappifier(config.crappifier, config.scale), torch.Generator().manual_seed(seed)
    low = acquire(truth, make_bad, scale, rng)
    still = acquire(np.repeat(truth[len(truth) // 2][None], STILL_FRAMES, 0), make_bad, scale, rng)
    paths = {name: out / f"{name}.ome.tif" for name in ("truth", "low", "restored")}
    _write(paths["truth"], truth, material, 1)
    _write(paths["low"], low, material, config.scale)
    best = predictors["three frames + stability"]
    with closing(best.steps(paths["low"], paths["restored"], overwrite=True)) as steps:
        for event in steps:
            if isinstance(event, Progress):
                yield Stage("restore low.ome.tif", event.done / event.total)

    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"bicubic": lambda x: bicubic(x, config.scale)}
    ways |= {name: p.predict for name, p in predictors.items()}
    scores = {}
    for k, (name, way) in enumerate(ways.items()):
        scores[name] = score(way, truth, low, still, scale)
        yield Stage("compare with the truth", (k + 1) / len(ways))
    yield Table(scores, (*paths.values(), *_pictures(out, material, low, ways, scale, scores)))


def _write(path: Path, planes: np.ndarray, material: Material, coarser: int) -> None:
    pixel = material.pixel_size_um
    t, y, x = planes.shape
    with StackWriter(
        path,
        sizes={"T": t, "C": 1, "Z": 1, "Y": y, "X": x},
        dtype=planes.dtype,
        channels=[material.name],
        spacing_um={} if pixel is None else {"Y": pixel * coarser, "X": pixel * coarser},
        interval_s=material.interval_s,
        # Low-resolution pixels are means: their centres lie between those of the truth.
        origin_um={} if pixel is None else dict.fromkeys("YX", pixel * (coarser - 1) / 2),
        provenance={"program": "pssr demo"},
        overwrite=True,
    ) as writer:
        for t, plane in enumerate(planes):
            writer.write(plane, T=t)


def _pictures(
    out: Path,
    material: Material,
    low: np.ndarray,
    ways: dict[str, Callable[[np.ndarray], np.ndarray]],
    scale: Intensity,
    scores: dict[str, Scores],
) -> list[Path]:
    """The movie, the comparison picture and the scores as files."""
    movies = {name: way(low) for name, way in ways.items()}
    restored, t = movies["three frames + stability"], len(low) // 2
    factor = restored.shape[1] // low.shape[1]
    y, x = _busiest(low[t], ZOOM)
    fine = (slice(y * factor, (y + ZOOM) * factor), slice(x * factor, (x + ZOOM) * factor))
    panels = [
        Panel("input", low[t, y : y + ZOOM, x : x + ZOOM]),
        Panel("bicubic", movies["bicubic"][t][fine], f"{scores['bicubic'].psnr_db:.1f} dB"),
        Panel("restored", restored[t][fine], f"{scores['three frames + stability'].psnr_db:.1f} dB"),
        Panel("truth", material.truth[t][fine]),
    ]
    picture = row_of(panels, low=scale.low, high=scale.high, pixel_size_um=material.pixel_size_um)
    write_whole(out / "comparison.png", picture)
    write_whole(out / "scores.json", json.dumps({k: asdict(v) for k, v in scores.items()}, indent=2).encode())
    write_mp4(out / "restored.mp4", restored, low=scale.low, high=scale.high, frames_per_s=8, overwrite=True)
    _write_panels(out / "comparison.mp4", low, movies, scale)
    return [out / name for name in ("restored.mp4", "comparison.mp4", "comparison.png", "scores.json")]


def _write_panels(path: Path, low: np.ndarray, movies: dict[str, np.ndarray], scale: Intensity) -> None:
    """Input, one frame, three frames + stability side by side: whether it flickers, a movie shows best."""
    factor = movies["bicubic"].shape[1] // low.shape[1]
    shown = [low.repeat(factor, 1).repeat(factor, 2), *(movies[name] for name in ARMS)]
    write_mp4(
        path, np.concatenate(shown, axis=2), low=scale.low, high=scale.high, frames_per_s=8, overwrite=True
    )


def _busiest(plane: np.ndarray, side: int) -> tuple[int, int]:
    """The corner of the square with most structure, on a coarse grid."""
    h, w = plane.shape
    corners = [(y, x) for y in range(0, max(h - side, 0) + 1, 4) for x in range(0, max(w - side, 0) + 1, 4)]
    return max(corners, key=lambda c: float(plane[c[0] : c[0] + side, c[1] : c[1] + side].std()))

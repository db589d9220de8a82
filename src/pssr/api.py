"""What a notebook needs, one sentence each: calibrate, train, load, evaluate, preview."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from pssr.config import Config, read_config
from pssr.config import preset as named_preset
from pssr.crappify.calibrate import Calibration
from pssr.crappify.calibrate import calibrate as measured
from pssr.crappify.chain import STEPS, Step
from pssr.crappify.chain import crappifier as chain
from pssr.crappify.figures import calibration_figure
from pssr.crappify.preview import remade
from pssr.data.intensity import Planes, measure
from pssr.errors import ConfigError, WriteError
from pssr.io.atomic import write_whole
from pssr.io.open import Choices, open_stack
from pssr.io.series import stack_files
from pssr.io.stack import Movie, Stack
from pssr.parts import modules_of, refuse_foreign
from pssr.predict.evaluate import STILL_FRAMES, Scores, acquire, bicubic, score
from pssr.predict.job import chosen_channels
from pssr.predict.predictor import Predictor
from pssr.previews import Picture, previewed
from pssr.recipes import recipe, to_yaml
from pssr.training.fit import fit

Source = str | Path | Stack | Planes
Sources = Source | Sequence[Source] | Iterator[Source]
EXCERPT_FRAMES, EXCERPT_PX = 32, 1024  # of each stack, from which a calibration is made


def train(
    source: Sources,
    out: str | Path,
    *,
    preset: str = "movie",
    config: Config | None = None,
    low: Sources | None = None,
    align: bool = False,
    crappifier: Callable[..., torch.Tensor] | None = None,
    channel: str | int | None = None,
    settings: dict[str, Any] | None = None,
    restart: bool = False,
    **top: Any,
) -> Predictor:
    """Train on high-resolution material alone and give the model back; the same call again continues.

    Args:
        source: a file, a folder, a stack, a movie or a (T, Y, X) array, or several of them.
        out: the run folder.
        preset: `movie`, `single` or `zstack`; ignored where a config is given.
        config: a whole config instead.
        low: real low-resolution partners of the sources, in the same order: they take the place of one of the two
            crappified copies.
        align: whether pairs are moved onto each other; else those over half a low-resolution pixel off are refused.
        crappifier: your own `(N, F, H, W)[, rng] -> (N, F, H / scale, W / scale)` instead of the config's.
        channel: name or number, or `all`; needed where a file has several.
        settings: by path, such as `{"train.max_time_s": 600}`.
        restart: whether a run that is in the folder is removed first.
        top: settings of the first level, such as `scale=4, frames=3, init="runs/other"`; and `scene`, `axes`, `series`, `phase`, `missing`, as
            for `open_stack`.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    choices = {name: top.pop(name) for name in Choices.__annotations__ if name in top}
    config = (config or named_preset(preset)).changed(
        {**top, **({"data.align": True} if align else {}), **(settings or {})}
    )
    low = None if low is None else _each(low)
    if low == []:
        raise ConfigError("low: none given; name a partner for each source, or leave it out")
    good, lows = (_opened(given, axis=config.axis, channel=channel, **choices) for given in (source, low))
    steps = [crappifier] if crappifier else []
    with closing(fit(config, good, out, lows=lows, crappifier=steps, restart=restart)) as events:
        for _ in events:
            pass
    # What this process has just trained with needs no further trust.
    used = read_config(Path(out) / "config.yaml")
    return load(out, trust=modules_of((used.network, *used.crappifier)))


def _opened(given: Any, **choices: Any) -> list[Planes]:
    """Movies of files, folders and stacks, and those that are given as they are; none of None."""
    found: list[Planes] = []
    for one in [] if given is None else _each(given):
        if isinstance(one, Stack):
            found += _movies_of(one, choices.get("axis", "T"), choices.get("channel"))
        else:
            found += movies([one], **choices) if isinstance(one, str | Path) else [one]
    return found


def load(
    path: str | Path | Sequence[str | Path],
    *,
    device: str = "auto",
    precision: str = "auto",
    trust: Collection[str] = (),
) -> Predictor:
    """A trained model, ready to restore: `pssr.load("runs/mito").predict(movie)`.

    Args:
        path: a run folder or a model file; of several the answers are averaged.
        device: auto, cpu, cuda, mps; several separated by commas, or `all` CUDA devices.
        precision: fp32, bf16 or fp16; `auto` measures which is fast.
        trust: modules outside pssr that the model may name.
    """
    return Predictor.load(path, device=device, precision=precision, trust=trust)


def evaluate(
    model: Predictor, movie: Planes, *, crappifier: Sequence[Step] = (), seed: int = 0
) -> dict[str, Scores]:
    """Scores of the model and of bicubic interpolation on good frames that it has not seen.

    Args:
        model: restores.
        movie: good frames; they are made bad by the model's own crappifier.
        crappifier: callables instead of the model's own.
        seed: of the noise.

    Raises:
        ModelError: the model's crappifier names code that is not trusted.

    Returns:
        The scores by name, `bicubic` and `restored`.
    """
    truth = np.stack([np.asarray(movie[t]) for t in range(len(movie))])
    scale, config = measure(truth), model.model.config
    for part in () if crappifier else config.crappifier:
        refuse_foreign(part, STEPS, model.trust)
    make_bad = chain(crappifier or config.crappifier, config.scale)
    rng = torch.Generator().manual_seed(seed)
    low = acquire(truth, make_bad, scale, rng)
    still = acquire(np.repeat(truth[len(truth) // 2][None], STILL_FRAMES, 0), make_bad, scale, rng)
    ways = {"bicubic": lambda x: bicubic(x, config.scale), "restored": model.predict}
    return {name: score(way, truth, low, still, scale) for name, way in ways.items()}


def calibrate(
    lows: Any,
    *,
    highs: Any = (),
    dark: Any = None,
    out: str | Path | None = None,
    align: bool = False,
    overwrite: bool = False,
    channel: str | int | None = None,
    **choices: Unpack[Choices],
) -> Calibration:
    """Measure gain, offset and noise of a microscope in its low-resolution stacks: a crappifier fitted to it.

    Args:
        lows: files, folders or movies of one channel, all taken with the same settings; three frames in a row or more.
        highs: the same fields at high resolution, in the same order; for the blur, and for the noise of single images.
        dark: a file or movie recorded without light.
        out: where to write the crappifier as YAML, and a figure beside it as PNG; None writes nothing.
        align: whether pairs over half a low-resolution pixel off are accepted, and not refused; all are moved onto each other.
        overwrite: whether a crappifier that is there may be replaced.
        channel: name or number; needed where there are several.
        choices: `scene`, `axes`, `series`, `phase`, `missing`, as for `open_stack`.

    Returns:
        What was measured, with uncertainties, and the steps of the crappifier.

    Raises:
        ReadError: a file cannot be read, or nothing can be measured in it.
        ConfigError: high-resolution stacks that do not belong to the low ones, or a name that does not end in .yaml.
        WriteError: the files cannot be written.
    """
    if out is not None and Path(out).suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{out}: does not end in .yaml; name the crappifier so that pssr finds it")
    for path in () if out is None or overwrite else (Path(out), Path(out).with_suffix(".png")):
        if path.exists():
            raise WriteError(
                f"{path}: exists already; choose another name, or say overwrite=True (--overwrite)"
            )
    real, sharp, black = (_excerpts(source, channel, choices) for source in (lows, highs, dark))
    if not real:
        raise ConfigError("calibration: no low-resolution stack is given; give at least one")
    if not sharp:
        real = [low[:, :EXCERPT_PX, :EXCERPT_PX] for low in real]
    found = measured(real, highs=sharp, dark=black[0] if black else None, align=align)
    if out is not None:
        made = remade(found, real[0][:8], sharp[0][:8] if sharp else None)
        about = [f"measured by pssr-toolkit {version('pssr-toolkit')}", *found.lines()]
        write_whole(Path(out), to_yaml(found.steps, about=about).encode())
        write_whole(Path(out).with_suffix(".png"), calibration_figure(found.transfer, real[0][:8], made))
    return found


def _excerpts(source: Any, channel: str | int | None, choices: Choices) -> list[np.ndarray]:
    """At most 32 frames in a row from the middle of each movie."""
    found: list[np.ndarray] = []
    for movie in _opened(source, channel=channel, **choices):
        first = max(len(movie) - EXCERPT_FRAMES, 0) // 2
        last = min(first + EXCERPT_FRAMES, len(movie))
        frames = np.stack([np.asarray(movie[t]) for t in range(first, last)])
        if frames.ndim != 3:
            raise ConfigError(f"calibration: frames are {frames.shape[1:]}, not (Y, X); give (T, Y, X)")
        found.append(frames)
    return found


def preview(
    movie: Planes,
    *,
    low: Planes | None = None,
    crappifier: str | Sequence[Step] | None = None,
    preset: str = "movie",
    config: Config | None = None,
    t: int | None = None,
    seed: int = 0,
) -> Picture:
    """A good frame beside two bad copies of it, and beside a real bad one: look before you train.

    Args:
        movie: good frames.
        low: real low-resolution frames, of any field; then noise and sharpness are compared, and warned of.
        crappifier: name or file of a recipe, or callables; None takes that of the settings.
        preset: settings.
        config: a whole config instead.
        t: which frame; None takes the middle one.
        seed: of the noise.

    Returns:
        The picture, with warnings in words.
    """
    config = config or named_preset(preset)
    steps = recipe(crappifier) if isinstance(crappifier, str) else crappifier or config.crappifier
    return previewed(movie, low, chain(steps, config.scale), t=t, seed=seed)


def movies(
    sources: Iterable[str | Path],
    *,
    axis: str = "T",
    channel: str | int | None = None,
    **choices: Unpack[Choices],
) -> list[Movie]:
    """Every movie in files and folders: one per channel chosen, and per z plane (or time point, along Z).

    Args:
        sources: files, or folders whose files are taken in natural order.
        axis: along which frames follow each other, "T" or "Z".
        channel: name or number, or `all`; needed where a file has several.
        choices: `scene`, `axes`, `series`, `phase`, `missing`, as for `open_stack`.

    Raises:
        ReadError: a file cannot be read, or a folder has none.
        ChoiceNeeded: several channels or scenes and none chosen.
    """
    found = []
    for path in files(sources, series=choices.get("series")):
        found += _movies_of(open_stack(path, **choices), axis, channel)
    return found


def _movies_of(stack: Stack, axis: str, channel: str | int | None) -> list[Movie]:
    other = "Z" if axis == "T" else "T"
    return [
        stack.movie(c, axis=axis, **{other.lower(): k})
        for c in chosen_channels(stack, channel)
        for k in range(stack.sizes[other])
    ]


def files(sources: Iterable[str | Path], *, series: str | None = None) -> list[Path]:
    """The files named, and the files of the folders named, in natural order; a series stays a folder.

    Raises:
        ReadError: a folder without such files.
    """
    out: list[Path] = []
    for source in map(Path, sources):
        out += stack_files(source) if source.is_dir() and series is None else [source]
    return out


def _each(source: Any) -> list[Source]:
    """One source, or several in a list, a tuple or what `Path.glob` gives; an array or a `Movie` is one."""
    return list(source) if isinstance(source, list | tuple | Iterator) else [source]

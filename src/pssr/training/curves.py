"""Loss and score by step, as a picture."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float

INK, RESTORED, BICUBIC = "#222222", "#1b6ca8", "#d1495b"
TERMS = ("#1b6ca8", "#d1495b", "#2a9d5c", "#e0a030", "#7d5ba6", "#7f7f7f")
NO_TERM = ("step", "loss", "lr", "elapsed_s")  # of a line of the log
POINTS = 500  # drawn of a curve; a picture has no room for more
FEW = 30  # points that are drawn one by one
DECADES = 1.0  # that a loss spans before its axis is logarithmic


def curves(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """The loss with its terms, and the PSNR of the validations beside that of bicubic enlargement; a PNG.

    A long training is drawn as means over equal numbers of lines. What is missing or no number is left out.

    Args:
        entries: lines of the log: `step` and `loss` with its terms, or `step`, `psnr` and `bicubic_psnr`.
    """
    figure, (left, right) = _figure()
    _loss(left, [entry for entry in entries if "loss" in entry])
    _score(right, [entry for entry in entries if "psnr" in entry])
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_formatter("{x:.0f}")
        if axes.lines:
            axes.set_xlim(left=0)
            axes.locator_params(axis="x", nbins=6, integer=True)
            axes.legend(frameon=False, fontsize=8)
        else:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "none yet", transform=axes.transAxes, ha="center", color=INK)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def thinned(
    steps: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """At most `POINTS` points of a curve: the means of neighbours.

    Args:
        steps: rising.
        values: at them, all numbers.
    """
    if len(steps) <= POINTS:
        return steps, values
    groups = [np.array_split(each, POINTS) for each in (steps, values)]
    one, other = (np.array([group.mean() for group in each]) for each in groups)
    return one, other


def _loss(axes: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    terms = dict.fromkeys(name for entry in entries for name in entry if name not in NO_TERM)
    shown = []
    for number, name in enumerate(("loss", *terms)):
        steps, values = thinned(*_column(entries, name))
        if not len(steps):
            continue
        colour, width = (INK, 1.8) if number == 0 else (TERMS[(number - 1) % len(TERMS)], 1.0)
        _line(axes, steps, values, color=colour, linewidth=width, label=name)
        shown.append(values)
    axes.set_title("loss")
    every = np.concatenate(shown) if shown else np.ones(1)
    if every.min() > 0 and math.log10(every.max() / every.min()) > DECADES:
        axes.set_yscale("log")


def _score(axes: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    steps, values = thinned(*_column(entries, "psnr"))
    _, bicubic = _column(entries, "bicubic_psnr")
    if len(values):
        _line(
            axes, steps, values, color=RESTORED, linewidth=1.8, label=f"restored, best {values.max():.2f} dB"
        )
    if len(bicubic):
        # The held-back frames never change, and so this does not either.
        axes.axhline(bicubic[-1], color=BICUBIC, linestyle="--", label=f"bicubic, {bicubic[-1]:.2f} dB")
    axes.set(title="held-back frames", ylabel="PSNR (dB)")


def _line(axes: Any, steps: np.ndarray, values: np.ndarray, **look: Any) -> None:
    axes.plot(steps, values, marker="o" if len(steps) <= FEW else "", markersize=3.5, **look)


def _column(
    entries: Sequence[Mapping[str, Any]], name: str
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Steps and values of the lines that have a number there."""
    found = [(entry.get("step"), entry.get(name)) for entry in entries]
    kept = [pair for pair in found if all(map(_is_number, pair))]
    table = np.array(kept, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _figure() -> tuple[Any, Any]:
    # Imported here: it takes half a second, and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, 2)

"""Figures that show whether a crappifier makes what a microscope makes."""

from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from scipy.fft import rfft2

from pssr.crappify.photon_transfer import PhotonTransfer, noise_curve
from pssr.errors import ReadError

INK, REAL, MADE = "#222222", "#1b6ca8", "#d1495b"


def spectrum(frames: Num[np.ndarray, "t y x"]) -> Float[np.ndarray, " k"]:
    """Mean power of frames by radial frequency, from 0 to half a cycle per pixel.

    Args:
        frames: any range; each is freed of its mean and tapered at its borders.
    """
    t, y, x = frames.shape
    taper = np.hanning(y)[:, None] * np.hanning(x)[None]
    power = np.zeros((y, x // 2 + 1))
    for frame in np.asarray(frames, dtype=np.float64):
        power += np.abs(rfft2((frame - frame.mean()) * taper)) ** 2 / t / (taper**2).sum()
    radius = np.hypot(np.fft.fftfreq(y)[:, None], np.fft.rfftfreq(x)[None])
    count = min(y, x) // 2
    bins = np.minimum((radius / 0.5 * count).astype(int), count)
    found = np.bincount(bins.ravel(), power.ravel(), count + 1) / np.maximum(
        np.bincount(bins.ravel(), minlength=count + 1), 1
    )
    return np.asarray(found[:count])


def calibration_figure(
    transfer: PhotonTransfer, real: Num[np.ndarray, "t y x"], made: Num[np.ndarray, "t y x"]
) -> bytes:
    """The photon-transfer curve with its fit, and spectra and histograms of real and crappified frames; a PNG.

    Args:
        transfer: the fit.
        real: low-resolution frames, counts.
        made: crappified frames, counts.
    """
    figure, (curve, spectra, histogram) = _figure(3)
    curve.plot(transfer.means, transfer.variances, "o", color=REAL, label="measured")
    ends = np.array([min(transfer.offset.value, transfer.means.min()), transfer.means.max()])
    label = f"fit: gain {transfer.gain} counts per photon"
    curve.plot(ends, transfer.slope * ends + transfer.intercept, color=INK, label=label)
    curve.set(
        xlabel="mean (counts)", ylabel="variance of the noise (counts squared)", title="photon transfer"
    )
    _spectra(spectra, real, made)
    for frames, colour, name in ((real, REAL, "real"), (made, MADE, "crappified")):
        low, high = np.percentile(real, (0.1, 99.9))
        histogram.hist(
            np.ravel(frames), 80, range=(low, high), density=True, histtype="step", color=colour, label=name
        )
    histogram.set(xlabel="counts", ylabel="share of pixels", title="histograms", yscale="log")
    return _png(figure, (curve, spectra, histogram))


def likeness_figure(made: Num[np.ndarray, "t y x"], real: Num[np.ndarray, "t2 y2 x2"]) -> bytes:
    """Noise curves and spectra of crappified and real frames; a PNG.

    Args:
        made: crappified frames on the 0..1 scale.
        real: real ones, on the scale of their own signal.
    """
    figure, (noise, spectra) = _figure(2)
    for frames, colour, name in ((real, REAL, "real"), (made, MADE, "crappified")):
        try:
            means, variances = noise_curve([frames])
        except ReadError:
            noise.plot([], [], color=colour, label=f"{name}: too few pixels to tell")
            continue
        noise.plot(means, np.sqrt(np.maximum(variances, 0)), "o-", color=colour, label=name)
    noise.set(xlabel="brightness (share of full scale)", ylabel="noise (standard deviation)", title="noise")
    _spectra(spectra, real, made)
    return _png(figure, (noise, spectra))


def _figure(columns: int) -> tuple[Any, Any]:
    # Imported here: it takes half a second, and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _spectra(axes: Any, real: np.ndarray, made: np.ndarray) -> None:
    for frames, colour, name in ((real, REAL, "real"), (made, MADE, "crappified")):
        power = spectrum(frames)
        axes.semilogy(np.arange(1, len(power)) / len(power) / 2, power[1:], color=colour, label=name)
    axes.set(xlabel="cycles per low-resolution pixel", ylabel="power", title="spectra")


def _png(figure: Any, each: tuple[Any, ...]) -> bytes:
    for axes in each:
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()

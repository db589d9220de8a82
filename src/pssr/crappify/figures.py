"""Figures that show whether a crappifier makes what a microscope makes."""

from io import BytesIO

import numpy as np
from jaxtyping import Float, Num
from scipy.fft import rfft2

from pssr.crappify.photon_transfer import PhotonTransfer

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
    # Imported here: it takes half a second, and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    curve, spectra, histogram = figure.subplots(1, 3)
    curve.plot(transfer.means, transfer.variances, "o", color=REAL, label="measured")
    ends = np.array([min(transfer.offset.value, transfer.means.min()), transfer.means.max()])
    label = f"fit: gain {transfer.gain} counts per photon"
    curve.plot(ends, transfer.slope * ends + transfer.intercept, color=INK, label=label)
    curve.set(
        xlabel="mean (counts)", ylabel="variance of the noise (counts squared)", title="photon transfer"
    )
    for frames, colour, name in ((real, REAL, "real"), (made, MADE, "crappified")):
        power = spectrum(frames)
        spectra.semilogy(np.arange(1, len(power)) / len(power) / 2, power[1:], color=colour, label=name)
        low, high = np.percentile(real, (0.1, 99.9))
        histogram.hist(
            np.ravel(frames), 80, (low, high), density=True, histtype="step", color=colour, label=name
        )
    spectra.set(xlabel="cycles per low-resolution pixel", ylabel="power", title="spectra")
    histogram.set(xlabel="counts", ylabel="share of pixels", title="histograms", yscale="log")
    for axes in (curve, spectra, histogram):
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()

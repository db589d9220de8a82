"""TIFF dialects of microscopes: what their private tags say of pages and pixel sizes.

Tags as tifffile parses them: Zeiss LSM, Micro-Manager, ScanImage, FluoView, Olympus SIS, MetaMorph STK; FEI and Zeiss SEM.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.tiff_meaning import Meaning, in_order, renamed
from pssr.io.units import UM, known, positive

SERIES = {"lsm": "LSM", "fluoview": "FluoView TIFF", "sis": "SIS TIFF", "scanimage": "ScanImage TIFF"}
PAGE_TAG = 51123  # of Micro-Manager: JSON about each page
INDICES = {"T": "FrameIndex", "C": "ChannelIndex", "Z": "SliceIndex"}
INCH, CM = 2, 3  # of the resolution unit
FRACTIONS = (5, 10)  # types of tags
# Larger pixels are a printer's: 1200 dots per inch are 21 um.
LARGEST_UM = 20.0


def of_vendor(
    path: Path, tif: tifffile.TiffFile, pages: Sequence[tifffile.TiffPage], axes: str | None
) -> Meaning | None:
    """The meaning of pages whose private tags say what they are; None for any other TIFF.

    Args:
        path: of the file, for messages.
        tif: the file, open.
        pages: of it, without reduced copies.
        axes: what a person says about the pages instead.

    Raises:
        ChoiceNeeded: the pages vary along axes that are not ours, and no axes were given.
        ReadError: the tags announce other pages than the file holds.
    """
    if PAGE_TAG in pages[0].tags:
        found = _of_micromanager(pages)
        if found is not None or len(pages) == 1:
            return found
        return _asked(path, "Micro-Manager TIFF", len(pages), axes)
    kind = next((kind for kind in SERIES if getattr(tif, f"is_{kind}")), None)
    if kind is None:
        return None
    series = tif.series[0]
    # Several channels of an LSM are samples of its pages, not pages.
    inside = ("C", int(pages[0].samplesperpixel))
    varying = [
        (axis, n)
        for axis, n in zip(series.axes, series.shape, strict=True)
        if axis not in "YXS" and n > 1 and (axis, n) != inside
    ]
    if math.prod(n for _, n in varying) != len(pages):
        raise ReadError(
            f"{path}: its {SERIES[kind]} metadata announce {series.shape} and it holds {len(pages)} pages; copy it again, or "
            "export it as OME-TIFF"
        )
    spacing, interval = _lsm_units(tif) if kind == "lsm" else ({}, None)
    if axes is not None or not {axis for axis, _ in varying} <= set("TCZ"):
        if axes is None:
            return _asked(path, SERIES[kind], len(pages), None)
        order, count = renamed(path, axes, varying)
    else:
        order = [axis for axis, _ in varying]
        count = {"T": 1, "C": 1, "Z": 1} | dict(varying)
    return Meaning(SERIES[kind], count, in_order(order, count), spacing_um=spacing, interval_s=interval)


def of_stk(path: Path, tif: tifffile.TiffFile, axes: str | None) -> Meaning | None:
    """The meaning of a MetaMorph stack, whose planes follow each other behind one page; None for any other TIFF.

    Args:
        path: of the file, for messages.
        tif: the file, open.
        axes: what a person says about the planes instead.
    """
    said = tif.stk_metadata if tif.is_stk else None
    if not said or int(said["NumberPlanes"]) < 2:
        return None
    axis, total = tif.series[0].axes[0], int(said["NumberPlanes"])
    notes: tuple[str, ...] = ()
    if axes is None and axis not in "TZ":
        axes, notes = (
            "TYX",
            (f"its {total} planes are taken as time points; say axes=ZYX if they are depths",),
        )
    order, count = renamed(path, axes or f"{axis}YX", [(axis, total)])
    unit = str(said.get("CalibrationUnits") or "")
    step_ms = (
        np.median(np.diff(np.asarray(said.get("TimeCreated", ()), dtype=np.float64))) if count["T"] > 1 else 0
    )
    return Meaning(
        format="MetaMorph TIFF",
        count=count,
        pages=in_order(order, count),
        spacing_um=known({a: positive(said.get(f"{a}Calibration"), UM, unit) for a in "XY"}),
        interval_s=positive(float(step_ms) / 1000, {"s": 1.0}, "s"),
        notes=notes,
    )


def spacing_of(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[dict[str, float], tuple[str, ...]]:
    """Pixel sizes in um along X and Y, and a note where they are from; both empty where nothing says them credibly.

    A resolution in dots per inch is mostly a printer's: only pixels below 20 um are believed.
    """
    for word, said in (("FEI", tif.fei_metadata), ("Zeiss SEM", tif.sem_metadata)):
        sizes = known(_sem(said)) if said else {}
        if sizes:
            return sizes, (f"its pixel size is that of its {word} tag",)
    unit = page.tags.get("ResolutionUnit")
    # Compared one by one: a damaged tag holds anything.
    per = "inch" if unit is None or unit.value == INCH else "cm" if unit.value == CM else ""
    resolution = resolution_of(page)
    if resolution is None or not per:
        return {}, ()
    found = known(
        {axis: positive(1 / n if n else None, UM, per) for axis, n in zip("XY", resolution, strict=True)}
    )
    if len(found) < 2 or max(found.values()) > LARGEST_UM:
        return {}, ()
    return found, (f"its pixel size is that of its resolution per {per}",)


def resolution_of(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Pixels per unit along X and Y; None where the page does not say it in fractions of positive numbers."""
    found = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if tag is None or tag.dtype not in FRACTIONS or tag.count != 1 or min(tag.value) <= 0:
            return None
        found.append(tag.value[0] / tag.value[1])
    return found[0], found[1]


def _asked(path: Path, format: str, total: int, axes: str | None) -> Meaning:
    """Pages of which the metadata do not say what they are: one axis as the person says, else a question."""
    if axes is None:
        raise ChoiceNeeded(
            f"{path}: is a {format} of {total} pages and nothing says of what; export it as OME-TIFF, or choose axes=TYX, "
            "ZYX or CYX if they vary along one axis",
            ("TYX", "ZYX", "CYX"),
        )
    order, count = renamed(path, axes, [("?", total)])
    return Meaning(format, count, in_order(order, count))


def _of_micromanager(pages: Sequence[tifffile.TiffPage]) -> Meaning | None:
    """By the indices that each page has; None where they do not make a whole grid."""
    said = [tag.value for page in pages if (tag := page.tags.get(PAGE_TAG)) is not None]
    try:
        places = [tuple(int(one[name]) for name in INDICES.values()) for one in said]
    except (KeyError, TypeError, ValueError):
        return None
    count = {axis: 1 + max(place[k] for place in places) for k, axis in enumerate(INDICES)}
    at = {place: number for number, place in enumerate(places)}
    if len(places) != len(pages) or len(at) != len(pages) or math.prod(count.values()) != len(pages):
        return None
    size, names = positive(said[0].get("PixelSizeUm"), UM, "um"), {}
    for place, one in zip(places, said, strict=True):
        names[place[1]] = str(one.get("Channel") or "") or None
    return Meaning(
        format="Micro-Manager TIFF",
        count=count,
        pages=tuple(at[place] for place in sorted(at)),
        channels=tuple(names[c] for c in range(count["C"])),
        spacing_um=known({"X": size, "Y": size}),
    )


def _lsm_units(tif: tifffile.TiffFile) -> tuple[dict[str, float], float | None]:
    """Metres and seconds in the file."""
    said: Mapping[str, Any] = tif.lsm_metadata or {}
    spacing = known({axis: positive(said.get(f"VoxelSize{axis}"), UM, "m") for axis in "XYZ"})
    return spacing, positive(said.get("TimeIntervall"), {"s": 1.0}, "s")


def _sem(said: Mapping[str, Any]) -> dict[str, float | None]:
    """From the sections of FEI, in metres, or the lines of Zeiss, with their unit."""
    scan = said.get("Scan", {})
    if scan:
        return {
            axis: positive(scan.get(name), UM, "m")
            for axis, name in (("X", "PixelWidth"), ("Y", "PixelHeight"))
        }
    line: Sequence[Any] = said.get("ap_image_pixel_size") or said.get("ap_pixel_size") or ()
    if len(line) < 3:
        return {}
    size = positive(line[1], UM, str(line[2]))
    return {"X": size, "Y": size}

"""Formats of other microscopes, through whatever readers bioio has installed."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.memory import check_fits
from pssr.io.scenes import scene_number
from pssr.io.stack import AXES, Place, ReadPlane, Stack, channel_names

# It logs each reader that it tries; what comes of it is told in one sentence here.
logging.getLogger("bioio").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class BioioReader:
    """Planes of one scene.

    Args:
        scene: its name in the file.
    """

    scene: str

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes lazily.

        Raises:
            ReadError: a plane cannot be read.
        """
        image = _image(path)

        def read(place: Place) -> np.ndarray:
            t, c, z = place
            try:
                image.set_scene(self.scene)
                plane = np.asarray(image.get_image_dask_data("YX", T=t, C=c, Z=z).compute())
            except Exception as error:  # readers of dozens of formats raise whatever they like
                raise ReadError(
                    f"{path}: T {t}, C {c}, Z {z} cannot be read ({error}); copy it again"
                ) from error
            return np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))

        yield read


def open_foreign(path: Path, *, scene: str | int | None = None) -> Stack | None:
    """What a file of another format holds; None where bioio is not installed.

    Args:
        path: the file.
        scene: name or number; needed where there are several.

    Raises:
        ReadError: no reader that is installed can read it.
        ChoiceNeeded: several scenes and none chosen.
    """
    if not find_spec("bioio"):
        return None
    image = _image(path)
    try:
        scenes = tuple(map(str, image.scenes))
        chosen = scenes[scene_number(path, scenes, scene)]
        image.set_scene(chosen)
        sizes = {axis: int(getattr(image.dims, axis)) for axis in AXES}
        dtype = np.dtype(image.dtype).newbyteorder("=")
        names = [str(name) for name in image.channel_names or []]
        spacing, interval = image.physical_pixel_sizes, image.time_interval
    except ChoiceNeeded:
        raise
    except Exception as error:  # readers of dozens of formats raise whatever they like
        raise ReadError(f"{path}: cannot be read through bioio ({error}); export it as OME-TIFF") from error
    check_fits(path, (sizes["Y"], sizes["X"]), dtype)
    return Stack(
        path=path,
        format=f"{path.suffix.lstrip('.').upper() or 'file'} through bioio",
        sizes=sizes,
        dtype=dtype,
        channels=channel_names(list(names), sizes["C"]),
        spacing_um={axis: float(um) for axis in "XYZ" if (um := getattr(spacing, axis, None))},
        interval_s=_seconds(interval),
        reader=BioioReader(chosen),
        scene=chosen if len(scenes) > 1 else None,
    )


def _image(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # What its readers and their libraries will change one day is nobody's concern here.
            warnings.simplefilter("ignore")
            # Imported here: an extra.
            from bioio import BioImage

            return BioImage(path)
    except Exception as error:  # readers of dozens of formats raise whatever they like
        with path.open("rb") as file:
            head = file.read(8)
        raise ReadError(
            f"{path}: is not CZI, TIFF, OME-Zarr, PNG, JPEG, MP4 or AVI (it begins with {head!r}), and no reader of "
            "bioio that is installed reads it; install the one for its format, or export it as OME-TIFF"
        ) from error


def _seconds(interval: Any) -> float | None:
    """From a timedelta, or a number of seconds."""
    seconds = interval.total_seconds() if hasattr(interval, "total_seconds") else interval
    return float(seconds) if seconds else None

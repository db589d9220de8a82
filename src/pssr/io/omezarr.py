"""OME-Zarr 0.4 and 0.5, in a folder or a zip file, at its highest resolution."""

import itertools
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pssr.errors import PssrError, ReadError
from pssr.io.memory import MOST_PLANES, check_fits
from pssr.io.scenes import scene_number
from pssr.io.stack import AXES, Place, ReadPlane, Stack, channel_names, distinct
from pssr.io.units import SECONDS, UM, finite, known, positive
from pssr.io.zarr_check import ArrayMetadata, Store, attributes, check_array, inside
from pssr.io.zarr_chunks import notes_on_chunks

UNITS = UM | SECONDS
DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    AttributeError,
    SystemError,  # of numcodecs, for a cut chunk of Blosc
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class ZarrReader:
    """An array of a store whose axes have these names.

    Args:
        root: folder inside a zip file that holds the group.
        array: name of the array.
        axes: of the array, such as "TCZYX"; unnamed ones of length 1 are "?".
    """

    root: str
    array: str
    axes: str

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes in native byte order.

        Raises:
            ReadError: a chunk is damaged, or the store has changed.
        """
        check_array(Store(path, self.root), self.array)
        with opened_array(path, self.root, self.array) as array:

            def read(place: Place) -> np.ndarray:
                at = dict(zip("TCZ", place, strict=True)) | {"Y": slice(None), "X": slice(None), "?": 0}
                try:
                    plane = np.asarray(array[tuple(at[axis] for axis in self.axes)])
                except DAMAGE as error:
                    t, c, z = place
                    raise ReadError(
                        f"{path}: T {t}, C {c}, Z {z} cannot be read ({error}); copy it again"
                    ) from error
                plane = plane if self.axes.index("Y") < self.axes.index("X") else plane.T
                return np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))

            yield read


@contextmanager
def opened_array(path: Path, root: str, name: str) -> Iterator[Any]:
    """A Zarr array, open for reading; its metadata must have been checked.

    Raises:
        ReadError: it cannot be opened.
    """
    # Imported here: most stacks are not Zarr, and zarr takes half a second.
    import zarr
    from zarr.storage import LocalStore, ZipStore

    from pssr.io.zarr_bound import bounded

    try:
        store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
        array = bounded(zarr.open_array(store, path=f"{root}/{name}".strip("/"), mode="r"))
    except DAMAGE as error:
        raise ReadError(f"{path}: {name} cannot be opened ({error}); copy it again") from error
    try:
        yield array
    finally:
        store.close()


def open_zarr(path: Path, *, scene: str | int | None = None) -> Stack:
    """What an OME-Zarr holds, its metadata checked before any library opens it.

    Args:
        path: of the folder, or of a zip file of one.
        scene: name or number of the image; needed where there are several.

    Raises:
        ReadError: damaged, without OME metadata, or with codecs that could run foreign code.
        ChoiceNeeded: several images and none chosen.
    """
    store = Store(path, "" if path.is_dir() else _root(path))
    name, group, about = _image(path, _images(store), scene)
    try:
        array, named, scale, shift, units = _finest(store, group, about)
        metadata = check_array(store, array)
        axes = _named(path, named, metadata.shape)
        sizes = {axis: metadata.shape[axes.index(axis)] if axis in axes else 1 for axis in AXES}
        physical = {a: positive(s, UNITS, u) for a, s, u in zip(axes, scale, units, strict=False) if a != "?"}
        begins = {
            a: finite(s, UNITS, u)
            for a, s, u in zip(axes, shift, units, strict=False)
            if physical.get(a) and s
        }
        shown = about["omero"].get("channels", [])
        planes = math.prod(sizes[axis] for axis in "TCZ")
        if planes > MOST_PLANES:
            raise ReadError(f"{path}: announces {planes} planes; copy it again")
        names = channel_names([_text(channel.get("label")) for channel in shown], sizes["C"])
        colours = (*(_colour(channel.get("color")) for channel in shown), *[None] * sizes["C"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, PssrError):
            raise
        raise ReadError(f"{path}: its OME metadata are damaged ({error!r}); export it again") from error
    dtype = _dtype(store, array, metadata, axes)
    return Stack(
        path=path,
        format="OME-Zarr",
        sizes=sizes,
        dtype=dtype,
        channels=names,
        spacing_um=known({axis: physical.get(axis) for axis in "XYZ"}),
        interval_s=physical.get("T"),
        reader=ZarrReader(store.root, array, axes),
        scene=name,
        notes=notes_on_chunks(store, array, metadata),
        colours=colours[: sizes["C"]],
        compression=metadata.compression,
        origin_um=known({axis: begins.get(axis) for axis in "XYZ"}),
    )


def _root(path: Path) -> str:
    """Folder inside a zip file that holds the store: its top, or the only folder there."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ReadError(f"{path}: is a damaged zip file ({error}); copy it again") from error
    tops = {name.split("/", 1)[0] for name in names}
    found = [
        top
        for top in ("", *sorted(tops))
        for file in ("zarr.json", ".zattrs", ".zgroup")
        if f"{top}/{file}".lstrip("/") in names
    ]
    if not found:
        raise ReadError(f"{path}: is a zip file without an OME-Zarr in it; unpack it and name the stack")
    return found[0]


def _images(store: Store) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, group and description of each image in the store."""
    top = attributes(store)
    if top is None:
        raise ReadError(f"{store.path}: is Zarr without OME metadata; export it as OME-Zarr")
    about = _ome(top)
    groups = [""] if "multiscales" in about else _series(store, about)
    found = [image for group in groups for image in _multiscales(group, _ome(attributes(store, group) or {}))]
    if not found:
        raise ReadError(f"{store.path}: is Zarr without OME images; export it as OME-Zarr")
    return found


def _series(store: Store, about: dict[str, Any]) -> list[str]:
    """Groups of the images in a plate, or in a collection that counts them from 0."""
    if "plate" not in about:
        return [str(k) for k in itertools.takewhile(lambda k: attributes(store, str(k)), itertools.count())]
    wells = [inside(store.path, str(well["path"])) for well in about["plate"].get("wells", [])]
    fields = [(w, _ome(attributes(store, w) or {}).get("well", {}).get("images", [])) for w in wells]
    return [f"{w}/{inside(store.path, str(image['path']))}" for w, images in fields for image in images]


def _ome(found: Mapping[str, Any]) -> dict[str, Any]:
    """Version 0.5 puts everything under one key, 0.4 does not."""
    inner = found.get("ome", found)
    return dict(inner) if isinstance(inner, dict) else {}


def _multiscales(group: str, about: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    listed = about.get("multiscales")
    omero = about.get("omero")
    described = {"omero": omero if isinstance(omero, dict) else {}}
    many = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [
        (group or _text(one.get("name")) or str(k), group, {**one, **described}) for k, one in enumerate(many)
    ]


def _image(
    path: Path, images: list[tuple[str, str, dict[str, Any]]], scene: str | int | None
) -> tuple[str | None, str, dict[str, Any]]:
    names = distinct([name for name, _, _ in images])
    k = scene_number(path, names, scene)
    return names[k] if len(names) > 1 else None, *images[k][1:]


def _finest(
    store: Store, group: str, about: dict[str, Any]
) -> tuple[str, list[str], list[float], list[float], list[str]]:
    """Name of the array of the highest resolution; axes, scale, translation and units."""
    axes = about.get("axes") or [{"name": name} for name in "tczyx"]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    # The first one is the finest, as the format demands.
    level = about["datasets"][0]
    steps = [*level.get("coordinateTransformations", []), *about.get("coordinateTransformations", [])]
    # Without any scale, nothing is known of the size of a pixel.
    scale = [1.0 if any(step.get("type") == "scale" for step in steps) else 0.0] * len(axes)
    shift = [0.0] * len(axes)
    for step in steps:
        if step.get("type") == "scale":
            scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
            shift = [a * float(b) for a, b in zip(shift, step["scale"], strict=True)]
        elif step.get("type") == "translation":
            # Numbers may lie in an array of their own; pixels are right without them.
            with suppress(KeyError, TypeError, ValueError):
                shift = [a + float(b) for a, b in zip(shift, step["translation"], strict=True)]
    name = inside(store.path, str(level["path"]))
    units = [_text(axis.get("unit")) or "unknown" for axis in axes]
    return f"{group}/{name}".strip("/"), [str(axis["name"]).upper() for axis in axes], scale, shift, units


def _named(path: Path, axes: list[str], shape: tuple[int, ...]) -> str:
    """The axes as one word; those that are none of ours must not vary."""
    if len(axes) != len(shape):
        raise ReadError(f"{path}: names {len(axes)} axes of an array of {len(shape)}; export it again")
    word = "".join(axis if axis in AXES else "?" for axis in axes)
    strange = [axis for axis, mark, size in zip(axes, word, shape, strict=True) if mark == "?" and size > 1]
    if strange or not {"Y", "X"} <= set(word) or any(word.count(axis) > 1 for axis in AXES):
        raise ReadError(f"{path}: has the axes {', '.join(axes)}; export it with T, C, Z, Y and X")
    return word


def _dtype(store: Store, array: str, metadata: ArrayMetadata, axes: str) -> np.dtype:
    """Of the pixels; a plane and a chunk must fit into memory."""
    with opened_array(store.path, store.root, array) as opened:
        dtype = np.dtype(opened.dtype)
    if dtype.kind not in "uif":
        raise ReadError(f"{store.path}: has pixels of type {dtype}; convert it to integers or floats")
    y, x = (metadata.shape[axes.index(axis)] for axis in "YX")
    check_fits(store.path, (y, x), dtype)
    check_fits(store.path, (math.prod(metadata.decoded), 1), dtype)
    native: np.dtype = dtype.newbyteorder("=")
    return native


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _colour(value: Any) -> str | None:
    text = (_text(value) or "").lstrip("#")
    return (
        f"#{text[:6].upper()}"
        if len(text) in (6, 8) and all(k in "0123456789abcdefABCDEF" for k in text)
        else None
    )

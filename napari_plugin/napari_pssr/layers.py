"""Layers as stacks, and stacks as layers: which axis is which, how large a pixel is, and where it lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import Dims
from napari.layers import Image
from napari.utils.transforms import Affine
from napari.viewer import Viewer

from pssr import ChoiceNeeded, Stack, stack_of

KEY = "pssr"  # in the metadata of layers
UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
FOLLOWER = "of what is on screen"  # in the metadata of layers that follow others, and are no stacks
FAR_EDGE = (1.0, 99.8)  # percentiles of a plane between which it is shown


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a layer's pixels come from; in `layer.metadata["pssr"]`.

    Args:
        stack: the file.
        channel: number of the channel that the layer shows.
        data: what the layer was given; a layer whose data are others does not come from there any more.
        axes: of the data, such as "TYX".
    """

    stack: Stack
    channel: int
    data: Any
    axes: str


def origin_of(layer: Image) -> Origin | None:
    """Where a layer's pixels come from; None where it is not known, or no longer true."""
    found = layer.metadata.get(KEY)
    return found if isinstance(found, Origin) and found.data is layer.data else None


def axes_of(layer: Image, along: str = "T") -> str:
    """What the axes of a layer are, such as "TYX".

    Args:
        layer: an image.
        along: what an axis without a name is, "T" or "Z".

    Raises:
        ChoiceNeeded: colours, or more axes than T, Z, Y and X.
    """
    if layer.rgb:
        raise ChoiceNeeded(
            f"{layer.name}: is a colour picture; split it into channels first (right click, Split RGB)"
        )
    found = origin_of(layer)
    axes = found.axes if found else _named(layer)
    if axes is None:
        axes = {2: "YX", 3: f"{along}YX", 4: "TZYX"}.get(layer.ndim)
    if axes is None:
        raise ChoiceNeeded(
            f"{layer.name}: has {layer.ndim} axes; give it as T, Z, Y and X, one layer for each channel"
        )
    return axes


def _named(layer: Image) -> str | None:
    """Axes by their labels, if all of them have one that we know."""
    letters = "".join(label.strip()[:1].upper() for label in layer.axis_labels)
    known = letters.endswith("YX") and len(set(letters)) == len(letters) and set(letters) <= set("TZYX")
    return letters if known else None


def stack_of_layer(layer: Image, along: str = "T") -> tuple[Stack, int]:
    """The stack that a layer shows, and the number of its channel.

    Args:
        layer: an image.
        along: what its slider means, "T" or "Z".

    Raises:
        PssrError: it is not a stack.
    """
    axes, found = axes_of(layer, along), origin_of(layer)
    if found and along in axes:
        return found.stack, found.channel
    if found and len(axes) == 3:
        # The file says otherwise, and a person knows better.
        axes = f"{along}YX"
    data = layer.data[0] if layer.multiscale else layer.data
    sizes = dict(zip(axes, _units_of(layer, axes), strict=True))
    spacing = {axis: size for axis, size in sizes.items() if axis != "T" and size is not None}
    moved = dict(zip(axes, np.asarray(layer.translate) / layer.scale, strict=True))
    origin = {axis: float(moved[axis]) * size for axis, size in spacing.items() if moved[axis]}
    made = stack_of(
        data, axes=axes, name=layer.name, spacing_um=spacing, interval_s=sizes.get("T"), origin_um=origin
    )
    return made, 0


def _units_of(layer: Image, axes: str) -> list[float | None]:
    """Distances along each axis in micrometres and seconds; None where the unit is no such unit."""
    found: list[float | None] = []
    for axis, scale, unit in zip(axes, layer.scale, layer.units, strict=True):
        known = unit.is_compatible_with(UNITS[axis])
        found.append(float((float(scale) * unit).to(UNITS[axis]).magnitude) if known else None)
    return found


def step_of(layer: Image, dims: Dims, along: str = "T") -> dict[str, int]:
    """Which frame and which depth of a layer is shown, as `{"T": 3, "Z": 0}`.

    Args:
        layer: an image.
        dims: the viewer's sliders.
        along: what an axis without a name is.
    """
    axes = axes_of(layer, along)
    index = np.rint(layer.world_to_data(on_sliders(dims, layer)))
    last = np.asarray(layer.data[0].shape if layer.multiscale else layer.data.shape) - 1
    at = dict(zip(axes, np.clip(index, 0, last).astype(int).tolist(), strict=True))
    return {axis: at.get(axis, 0) for axis in "TZ"}


def on_sliders(dims: Dims, layer: Image) -> np.ndarray:
    """Where the sliders of a viewer are, in the world coordinates and units of a layer.

    Args:
        dims: the sliders.
        layer: an image.
    """
    here: np.ndarray = np.asarray(dims.point)[-layer.ndim :] * factors(dims.units, layer.units)
    return here


def factors(given: Sequence[Any], wanted: Sequence[Any]) -> np.ndarray:
    """What lengths and times are multiplied by, along each of the last axes; 1 where a unit is none of these.

    Args:
        given: their units.
        wanted: units that they shall have.
    """
    count = len(wanted)
    pairs = zip(([None] * count + list(given))[-count:], wanted, strict=True)
    return np.array([
        float((1 * have).to(want).magnitude) if have is not None and have.is_compatible_with(want) else 1.0
        for have, want in pairs
    ])  # fmt: skip


def field_of(layer: Image) -> tuple[slice, slice]:
    """Rows and columns of a layer that are on screen now."""
    first, last = layer.corner_pixels[:, -2:]
    sides = (layer.data[0] if layer.multiscale else layer.data).shape[-2:]
    rows, columns = (
        slice(max(int(low), 0), min(int(high) + 1, side))
        for low, high, side in zip(first, last, sides, strict=True)
    )
    return rows, columns


def placed(
    layer: Image, scale: float, first: tuple[int, int] = (0, 0), ndim: int | None = None
) -> dict[str, Any]:
    """Where a finer grid lies that covers the same field as a layer does.

    The centre of the first of `scale` fine pixels lies (1 - scale) / (2 scale) of a coarse pixel away from the coarse one's.

    Args:
        layer: the coarse one.
        scale: fine pixels for each of its pixels, along Y and X; 1 / 4 for pixels four times as wide.
        first: row and column of the layer at which the fine grid begins.
        ndim: of the finer grid; None takes all axes of the layer, 2 only Y and X.

    Returns:
        Arguments for a layer.
    """
    shift = np.zeros(layer.ndim)
    shift[-2:] = np.asarray(first) + (1 - scale) / (2 * scale)
    own = Affine(scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=layer.shear)
    fine = np.array(layer.scale, dtype=float)
    fine[-2:] /= scale
    kept = layer.ndim if ndim is None else ndim
    words = {"scale": fine[-kept:], "translate": np.asarray(own(shift))[-kept:], "units": layer.units[-kept:],
             "axis_labels": layer.axis_labels[-kept:]}  # fmt: skip
    if kept == layer.ndim:
        words |= {"rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine.affine_matrix}
    else:
        words |= {"rotate": layer.rotate[-kept:, -kept:], "shear": layer.shear[-1:],
                  "affine": layer.affine.set_slice(list(range(layer.ndim - kept, layer.ndim))).affine_matrix}  # fmt: skip
    return words


def layers_of(stack: Stack) -> list[tuple[Any, dict[str, Any], str]]:
    """What napari needs to show a stack: a lazy layer for each channel.

    Args:
        stack: a file.
    """
    lazy = stack.dask()
    axes = "".join(axis for axis in "TZYX" if axis in "YX" or stack.sizes[axis] > 1)
    plain = {"red": "red", "green": "green", "blue": "blue"}
    found = []
    for c, channel in enumerate(stack.channels):
        keep = tuple(slice(None) if axis in axes else 0 for axis in "TZYX")
        data = lazy[:, c][keep]
        colour = (stack.colours[c] if c < len(stack.colours) else None) or "#FFFFFF"
        several = len(stack.channels) > 1
        words = {
            "name": f"{named(stack)} {channel}" if several else named(stack),
            "scale": [_distance(stack, axis) for axis in axes],
            "translate": [stack.origin_um.get(axis, 0.0) for axis in axes],
            "units": [UNITS[axis] if _known(stack, axis) else "pixel" for axis in axes],
            "axis_labels": [axis.lower() for axis in axes],
            "contrast_limits": limits_of(stack, c),
            "colormap": plain.get(colour, colour) if colour.upper() != "#FFFFFF" else "gray",
            "blending": "additive" if several else "translucent_no_depth",
            "cache": False,
            "metadata": {KEY: Origin(stack, c, data, axes)},
        }
        found.append((data, words, "image"))
    return found


def named(stack: Stack) -> str:
    """A stack's name as a layer's: that of its file without ending, and its scene."""
    stem = stack.path.name
    for ending in (".ome.tif", ".ome.tiff", ".ome.zarr", stack.path.suffix):
        if ending and stem.lower().endswith(ending.lower()):
            stem = stem[: -len(ending)]
            break
    return stem if stack.scene is None else f"{stem} [{stack.scene}]"


def limits_of(stack: Stack, channel: int) -> tuple[float, float]:
    """Contrast limits from the middle plane of a channel."""
    plane = stack.plane(T=stack.sizes["T"] // 2, C=channel, Z=stack.sizes["Z"] // 2)
    finite = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
    low, high = np.percentile(finite, FAR_EDGE) if finite.size else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1.0


def _known(stack: Stack, axis: str) -> bool:
    return (stack.interval_s if axis == "T" else stack.spacing_um.get(axis)) is not None


def _distance(stack: Stack, axis: str) -> float:
    return float((stack.interval_s if axis == "T" else stack.spacing_um.get(axis)) or 1.0)


def insert_over(viewer: Viewer, layer: Image, *below: Image) -> None:
    """Put a layer over others; what a person has selected stays so.

    Args:
        viewer: to put it into.
        layer: new.
        below: layers that are there.
    """
    active = viewer.layers.selection.active
    viewer.layers.insert(max(viewer.layers.index(one) for one in below) + 1, layer)
    viewer.layers.selection.active = active


def alike(layer: Image, plane: np.ndarray, name: str, **where: Any) -> Image:
    """A plane that looks as a layer does, for what changes with the sliders.

    Args:
        layer: whose colours and contrast it has.
        plane: (Y, X) counts.
        name: of the new layer.
        where: from `placed`.
    """
    return Image(
        plane, name=name, colormap=layer.colormap, gamma=layer.gamma, contrast_limits=layer.contrast_limits, cache=False,
        metadata={KEY: FOLLOWER}, **where,
    )  # fmt: skip

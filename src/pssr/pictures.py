"""Pictures for people: panels side by side with titles and a scale bar, pixels kept square and sharp."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image, ImageDraw, ImageFont

GAP_PX = 6
TITLE_PX = 26
INK, PAPER = (235, 235, 235), (16, 16, 16)
BAR_LENGTHS_UM = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Panel:
    """One picture of a row.

    Args:
        title: above it.
        plane: (Y, X) counts of any dtype.
        note: a line below the title, such as a score.
    """

    title: str
    plane: Num[np.ndarray, "y x"]
    note: str = ""


def grey(
    plane: Num[np.ndarray, "y x"], low: float, high: float, gamma: float = 0.7
) -> UInt8[np.ndarray, "y x"]:
    """Counts to 8-bit grey for looking at, never for measuring.

    Args:
        plane: counts.
        low: shown black.
        high: shown white.
        gamma: below 1 lifts the dim structures, as microscopists do on screen.
    """
    unit = np.clip((plane.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return np.rint(255 * unit**gamma).astype(np.uint8)


def row_of(
    panels: Sequence[Panel],
    *,
    low: float,
    high: float,
    side_px: int = 384,
    pixel_size_um: float | None = None,
) -> bytes:
    """Panels side by side as a PNG, all on one intensity scale and at one size.

    Args:
        panels: the same field of view, sampled coarsely or finely.
        low: counts shown black.
        high: counts shown white.
        side_px: height of a panel on screen.
        pixel_size_um: of the last panel; draws a scale bar into it. None where unknown: the bar is left out.

    Returns:
        The bytes of the PNG.
    """
    pictures = [_enlarged(grey(panel.plane, low, high), side_px) for panel in panels]
    widths = [picture.width for picture in pictures]
    head = TITLE_PX + (TITLE_PX - 6 if any(panel.note for panel in panels) else 0)
    canvas = Image.new("RGB", (sum(widths) + GAP_PX * (len(panels) + 1), side_px + head + GAP_PX), PAPER)
    draw, left = ImageDraw.Draw(canvas), GAP_PX
    for panel, picture in zip(panels, pictures, strict=True):
        canvas.paste(picture, (left, head))
        draw.text((left, 4), panel.title, INK, font=ImageFont.load_default(17))
        draw.text((left, TITLE_PX), panel.note, INK, font=ImageFont.load_default(13))
        left += picture.width + GAP_PX
    if pixel_size_um:
        _scale_bar(
            draw, canvas.size, pictures[-1].width / panels[-1].plane.shape[1] / pixel_size_um, widths[-1]
        )
    out = BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


def _enlarged(picture: UInt8[np.ndarray, "y x"], side_px: int) -> Image.Image:
    """To the height asked for; every pixel stays a visible square."""
    h, w = picture.shape
    return Image.fromarray(picture).resize(
        (max(1, round(side_px * w / h)), side_px), Image.Resampling.NEAREST
    )


def _scale_bar(draw: ImageDraw.ImageDraw, size: tuple[int, int], px_per_um: float, panel_px: int) -> None:
    """A bar of a round length, about a quarter of the last panel, in its lower right corner."""
    length_um = max(
        (um for um in BAR_LENGTHS_UM if um * px_per_um <= panel_px / 3), default=BAR_LENGTHS_UM[0]
    )
    right, bottom = size[0] - 2 * GAP_PX - 6, size[1] - 2 * GAP_PX - 6
    left = right - length_um * px_per_um
    label = f"{length_um:g} um" if length_um >= 1 else f"{1000 * length_um:g} nm"
    draw.rectangle((left - 1, bottom - 6, right + 1, bottom + 1), fill=PAPER)
    draw.rectangle((left, bottom - 5, right, bottom), fill=INK)
    draw.text(
        ((left + right) / 2, bottom - 8), label, INK,
        font=ImageFont.load_default(14), anchor="mb", stroke_width=2, stroke_fill=PAPER,
    )  # fmt: skip

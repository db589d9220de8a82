"""What happens to pictures afterwards: compression, marks burnt in, lost colours, other brightness.

Frames are (N, F, H, W), 1 is full scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import imagecodecs
import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pssr.crappify.settings import Setting, check_above, check_between, each
from pssr.errors import ConfigError, ShapeError

Frames = Float[Tensor, "n f h w"]
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue; ITU-R BT.601


@dataclass(frozen=True)
class Jpeg:
    """JPEG compression of each frame, at 8 bits.

    Args:
        quality: 1 to 100.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "nearly kept"
    quality: Setting = 60

    def __post_init__(self) -> None:
        check_between("jpeg.quality", self.quality, 1, 100)

    def __call__(self, frames: Frames) -> Frames:
        """The frames after compression, clipped to 0..1; done on the CPU."""
        n, f, _, _ = frames.shape
        quality = each(self.quality, frames).round().int().expand(n, 1, 1, 1).flatten().tolist()
        bytes_in = (frames.clamp(0, 1) * 255).round().byte().cpu().numpy()
        out = [
            [
                imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(bytes_in[k, t], level=quality[k]))
                for t in range(f)
            ]
            for k in range(n)
        ]
        return torch.from_numpy(np.array(out)).to(frames.device, frames.dtype) / 255


@dataclass(frozen=True)
class Overlay:
    """A mark burnt into the frames of a bundle: a text, a scale bar with its length, or a time stamp.

    Args:
        kind: "text" (random letters and digits), "scale_bar" or "time_stamp".
        size_px: height of the letters.
        level: brightness of the mark, as a share of full scale.
        corner: "random" for anywhere, or "bottom_right", "bottom_left", "top_right", "top_left".
    """

    random: ClassVar[bool] = True
    mean: ClassVar[str] = "changed"
    kind: Literal["text", "scale_bar", "time_stamp"] = "scale_bar"
    size_px: int = 12
    level: Setting = 1.0
    corner: str = "random"

    def __post_init__(self) -> None:
        check_above("overlay.size_px", self.size_px, 4, allow_equal=True)
        check_above("overlay.level", self.level, 0)
        corners = ("random", "bottom_right", "bottom_left", "top_right", "top_left")
        if self.kind not in ("text", "scale_bar", "time_stamp") or self.corner not in corners:
            raise ConfigError(
                f"overlay: {self.kind!r} at {self.corner!r} is not known; choose a corner from {corners}"
            )

    def __call__(self, frames: Frames, rng: torch.Generator) -> Frames:
        """The frames with marks; all pixels beside them are unchanged."""
        return self.marked(frames, rng)[0]

    def marked(self, frames: Frames, rng: torch.Generator) -> tuple[Frames, Bool[Tensor, "n f h w"]]:
        """The frames with marks, and where the marks are."""
        n, f, h, w = frames.shape
        draws = torch.rand((n, 4), generator=rng, device=rng.device).cpu().numpy()
        masks = np.stack([[self._mask(h, w, draws[k], t) for t in range(f)] for k in range(n)])
        mask = torch.from_numpy(masks).to(frames.device)
        return torch.where(mask, each(self.level, frames), frames), mask

    def _mask(self, h: int, w: int, draws: np.ndarray, frame: int) -> np.ndarray:
        """Where one frame's mark is; only a time stamp changes from frame to frame."""
        picture = Image.new("1", (w, h))
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(self.size_px)
        number = int(draws[2] * 10_000)
        words = {
            "text": f"{number:x}",
            "scale_bar": f"{1 + number % 50} um",
            "time_stamp": f"{number % 60 + frame} s",
        }
        text = words[self.kind]
        _, _, right, bottom = pen.textbbox((0, 0), text, font=font)
        bar = int((0.1 + 0.2 * draws[3]) * w) if self.kind == "scale_bar" else 0
        wide, high = max(int(right), bar), int(bottom) + (self.size_px // 2 if bar else 0)
        x, y = self._place(draws, w - wide, h - high)
        pen.text((x, y), text, fill=1, font=font)
        if bar:
            pen.rectangle((x, y + int(bottom) + 2, x + bar, y + high), fill=1)
        return np.asarray(picture)

    def _place(self, draws: np.ndarray, free_x: int, free_y: int) -> tuple[int, int]:
        if self.corner == "random":
            return int(draws[0] * max(free_x, 0)), int(draws[1] * max(free_y, 0))
        margin = self.size_px // 2
        return (
            margin if "left" in self.corner else max(free_x - margin, 0),
            margin if "top" in self.corner else max(free_y - margin, 0),
        )


@dataclass(frozen=True)
class Grayscale:
    """Colours lost: each three planes (red, green, blue) become their brightness, three times."""

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "changed"

    def __call__(self, frames: Frames) -> Frames:
        """The frames, whose number must be a multiple of three."""
        n, f, h, w = frames.shape
        if f % 3:
            raise ShapeError(f"grayscale: {f} planes are no red, green and blue; give a multiple of three")
        weights = torch.tensor(LUMA, dtype=frames.dtype, device=frames.device).reshape(1, 1, 3, 1, 1)
        grey = (frames.reshape(n, f // 3, 3, h, w) * weights).sum(2, keepdim=True)
        return grey.expand(n, f // 3, 3, h, w).reshape(n, f, h, w)


@dataclass(frozen=True)
class Photometric:
    """Other brightness, contrast and gamma.

    Args:
        brightness: added, as a share of full scale.
        contrast: factor around the middle of the scale.
        gamma: exponent, after the other two.
    """

    random: ClassVar[bool] = False
    mean: ClassVar[str] = "changed"
    brightness: Setting = 0.0
    contrast: Setting = 1.0
    gamma: Setting = 1.0

    def __post_init__(self) -> None:
        check_between("photometric.brightness", self.brightness, -1, 1)
        check_above("photometric.contrast", self.contrast, 0)
        check_above("photometric.gamma", self.gamma, 0)

    def __call__(self, frames: Frames) -> Frames:
        """The frames, clipped to 0..1."""
        moved = (frames - 0.5) * each(self.contrast, frames) + 0.5 + each(self.brightness, frames)
        return moved.clamp(0, 1) ** each(self.gamma, frames)


ARTEFACTS: dict[str, Callable[..., Callable[..., Tensor]]] = {
    "jpeg": Jpeg, "overlay": Overlay, "grayscale": Grayscale, "photometric": Photometric,
}  # fmt: skip

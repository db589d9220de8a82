"""Residual convolutions at low resolution with a pixel-shuffle tail: the default network."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pssr.errors import ConfigError
from pssr.networks.blocks import ResidualBlock, start_as_one_pixel

LARGEST = {"width": 2048, "blocks": 512}
SIZES = {"fast": (32, 6), "small": (48, 8), "quality": (64, 16)}  # channels, blocks


class Edsr(nn.Module):
    """All work at low resolution; pixels are shuffled at the end and added to the bilinear middle frame.

    It sees `halo` pixels far and no further, so tiles with that halo give the very same frame.

    Args:
        frames: frames in a bundle; they enter as channels.
        scale: 1, 2, 3, 4 or 8.
        width: channels.
        blocks: residual blocks of two convolutions.

    Source: EDSR without batch norm (Lim et al. 2017, arXiv 1707.02921).
    """

    multiple = 1
    local = True

    def __init__(self, *, frames: int, scale: int, width: int, blocks: int) -> None:
        super().__init__()
        self.frames, self.scale, self.width = frames, scale, width
        self.halo = 2 * blocks + 3  # one pixel for each 3x3 convolution on the longest path
        self.head = nn.Conv2d(frames, width, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(width) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1)
        )
        self.tail = nn.Conv2d(width, scale**2, 3, padding=1)
        start_as_one_pixel(self.tail, scale)

    def forward(self, x: Float[Tensor, "n f h w"]) -> Float[Tensor, "n 1 high_h high_w"]:
        """The sharp middle frame.

        Args:
            x: (N, frames, h, w) on the 0..1 scale.

        Returns:
            (N, 1, scale * h, scale * w).
        """
        middle = x[:, self.frames // 2 : self.frames // 2 + 1]
        head = self.head(x)
        detail = functional.pixel_shuffle(self.tail(head + self.body(head)), self.scale)
        if self.scale == 1:
            return middle + detail
        smooth = functional.interpolate(middle, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return smooth + detail


def edsr(
    *, frames: int, scale: int, size: str = "fast", width: int | None = None, blocks: int | None = None
) -> Edsr:
    """The default network in a named size.

    Args:
        frames: frames in a bundle.
        scale: 1, 2, 3, 4 or 8.
        size: `fast` (32 channels, 6 blocks), `small` (48, 8) or `quality` (64, 16).
        width: channels, instead of the size's.
        blocks: residual blocks, instead of the size's.

    Raises:
        ConfigError: no such size or scale, or no whole number of channels or blocks.
    """
    if size not in SIZES:
        raise ConfigError(f"network.edsr.size: no size '{size}'; choose from {', '.join(SIZES)}")
    if scale not in (1, 2, 3, 4, 8):
        raise ConfigError(f"scale: {scale} is not supported by edsr; use 1, 2, 3, 4 or 8")
    width, blocks = SIZES[size][0] if width is None else width, SIZES[size][1] if blocks is None else blocks
    for name, value in (("width", width), ("blocks", blocks)):
        if not isinstance(value, int) or not 1 <= value <= LARGEST[name]:
            raise ConfigError(
                f"network.edsr.{name}: {value!r} will not do; use a whole number from 1 to {LARGEST[name]}"
            )
    return Edsr(frames=frames, scale=scale, width=width, blocks=blocks)

"""One bundle through the network: whole where memory allows, else in tiles with the same result."""

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional

from pssr.errors import OutOfMemory, ShapeError
from pssr.networks import Generator
from pssr.predict.device import PRECISIONS, memory_is_full
from pssr.predict.tiles import tiles

BUDGET_BYTES = 1024**3  # for the activations of one tile
SMALLEST_TILE = 16


@torch.inference_mode()
def restore(
    net: Generator,
    bundle: Float[np.ndarray, "f h w"],
    *,
    device: torch.device,
    precision: str = "fp32",
    tile_px: int | None = None,
) -> Float[np.ndarray, "high_h high_w"]:
    """The restored middle frame of one bundle, on the 0..1 scale.

    Args:
        net: in evaluation mode, on the device.
        bundle: (F, h, w), float32 on the 0..1 scale.
        device: where the network is.
        precision: `fp32` or `bf16`.
        tile_px: side of a tile in low-resolution pixels; None takes the whole frame if it fits.

    Returns:
        (scale * h, scale * w), float32; the same for every tile size if the network is local.

    Raises:
        OutOfMemory: the device is full at the smallest tile.
        ShapeError: the network returned another shape than it declares.
    """
    _, h, w = bundle.shape
    side = max(h, w) if not net.local else tile_px or _largest_tile(net, h, w)
    while True:
        try:
            return _tiled(net, bundle, side, device, PRECISIONS[precision])
        except (RuntimeError, MemoryError) as error:
            if not memory_is_full(error):
                raise
            if side <= SMALLEST_TILE or not net.local:
                raise OutOfMemory(
                    f"{device}: out of memory at tiles of {side} px; close other programs or use a smaller network"
                ) from error
            side = max(SMALLEST_TILE, min(side, max(h, w)) // 2)


def _tiled(
    net: Generator, bundle: np.ndarray, side: int, device: torch.device, dtype: torch.dtype
) -> Float[np.ndarray, "high_h high_w"]:
    _, h, w = bundle.shape
    s, m = net.scale, net.multiple
    padded = functional.pad(torch.from_numpy(bundle)[None], (0, -w % m, 0, -h % m), mode="replicate")
    out = np.empty((padded.shape[-2] * s, padded.shape[-1] * s), np.float32)
    for tile in tiles(*padded.shape[-2:], side=side, halo=net.halo, multiple=m, scale=s):
        x = padded[:, :, *tile.read].to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            y = net(x)
        if y.shape != (1, 1, x.shape[-2] * s, x.shape[-1] * s):
            raise ShapeError(
                f"network: gave {tuple(y.shape)} for {tuple(x.shape)} at scale {s}; check its declared scale"
            )
        out[tile.paste] = y[0, 0].float()[tile.keep].cpu().numpy()
    return out[: h * s, : w * s]


def _largest_tile(net: Generator, h: int, w: int) -> int:
    """The side of the largest square tile whose activations fit the budget, halo included."""
    channels = max(p.shape[0] for p in net.parameters())
    bytes_per_px = 4 * (4 * channels + 3 * net.scale**2 + net.frames)
    if h * w * bytes_per_px <= BUDGET_BYTES:
        return max(h, w)
    return max(SMALLEST_TILE, int((BUDGET_BYTES / bytes_per_px) ** 0.5) - 2 * net.halo)

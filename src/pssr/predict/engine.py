"""Bundles through a network: whole where memory allows, else in tiles with the same result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pssr.errors import OutOfMemory, ShapeError
from pssr.networks import Generator
from pssr.predict.asking import Asking, ask
from pssr.predict.blend import Blend, overlapping_boxes
from pssr.predict.device import PRECISIONS, memory_is_full
from pssr.predict.memory import PROBE_PX, bytes_per_px, free_bytes, largest_side
from pssr.predict.tiles import Box, even_side, tiles

SMALLEST_TILE = 16
SMALL_PX = 128 * 128  # a frame of so few pixels fits everywhere, and is not worth measuring
ONCE = Asking()
OVERLAP = 0.25  # of a tile's side, where no halo makes tiles exact


@dataclass
class Engine:
    """A network on one device, and the largest tile that has fitted there.

    Args:
        net: in evaluation mode, on the device.
        device: where it is.
        precision: `fp32`, `bf16` or `fp16`.
        tile_px: side of a tile in low-resolution pixels; None takes the whole frame if it fits.
        asking: how often the network is asked for each frame.
        compiled: whether the network is compiled first.
    """

    net: Generator
    device: torch.device
    precision: str = "fp32"
    tile_px: int | None = None
    asking: Asking = ONCE
    compiled: bool = False

    def __post_init__(self) -> None:
        # A device teaches what fits: once tiles were made smaller, the next frames begin with those.
        self._side: int | None = None
        self._per_px: float | None = None
        self._said: list[str] = []
        self._forward = cast(
            Callable[[Tensor], Tensor], torch.compile(cast(Any, self.net)) if self.compiled else self.net
        )

    def notes(self) -> list[str]:
        """What there is to say since this was last asked for; each thing is said once."""
        said, self._said = self._said, []
        return said

    @torch.inference_mode()
    def __call__(
        self, bundle: Sequence[Float[Tensor, "copies h w"]], field: Box | None = None
    ) -> Float[Tensor, "planes high_h high_w"]:
        """The restored middle frame of one bundle, on the 0..1 scale and on the device.

        Args:
            bundle: its planes, float32 on the 0..1 scale; copies are with more noise.
            field: rows and columns that are wanted; None wants the whole frame.

        Returns:
            (planes, scale * h, scale * w), float32; the same for every tile size if the network is local.

        Raises:
            OutOfMemory: the device is full at the smallest tile.
            ShapeError: the network returned another shape than it declares.
        """
        x = torch.stack(list(bundle), 1).to(self.device)
        h, w = x.shape[-2:]
        field = field or (slice(0, h), slice(0, w))
        x = functional.pad(x, (0, -w % self.net.multiple, 0, -h % self.net.multiple), mode="replicate")
        side = self._side or self._first_side(x)
        while True:
            try:
                return self._blended(x, side, field) if not self.net.local else self._tiled(x, side, field)
            except (RuntimeError, MemoryError) as error:
                if not memory_is_full(error):
                    raise
                side = self._smaller(side, max(h, w), error)
            # Outside of the except clause: the error holds what is to be let go of.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _first_side(self, x: Tensor) -> int:
        """As asked for, or as memory allows; the whole frame where it fits."""
        h, w = x.shape[-2:]
        # A person's tile is not obeyed where it would change pixels.
        if self.tile_px is not None and self.net.local:
            return self.tile_px
        if h * w <= SMALL_PX:
            return max(h, w)
        if self._per_px is None:
            # The network as it is: a compiled one hides what it holds.
            probe = -(-PROBE_PX // self.net.multiple) * self.net.multiple
            self._per_px = bytes_per_px(partial(self._answer, self.net), x[:, :, :probe, :probe])
        # Tiles that are blended have no halo beside them.
        halo = self.net.halo if self.net.local else 0
        most = largest_side(self._per_px, halo, free_bytes(self.device))
        if h * w <= (most + 2 * halo) ** 2:
            return max(h, w)
        return even_side(max(h, w), max(SMALLEST_TILE, most))

    def _smaller(self, side: int, longest: int, error: BaseException) -> int:
        if side <= SMALLEST_TILE:
            raise OutOfMemory(
                f"{self.device}: out of memory at tiles of {side} px; close other programs or use a smaller network"
            ) from error
        self._side = max(SMALLEST_TILE, min(side, longest) // 2)
        exact = "pixels stay the same" if self.net.local else "pixels near their borders can change"
        self._said = [f"{self.device}: out of memory; goes on in tiles of {self._side} px, {exact}"]
        return self._side

    def _answer(self, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        dtype = PRECISIONS[self.precision]
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32):
            x = x.contiguous(memory_format=torch.channels_last)
            return ask(partial(self._checked, forward), x, self.asking)

    def _checked(self, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        y, s = forward(x), self.net.scale
        if y.shape != (1, 1, x.shape[-2] * s, x.shape[-1] * s):
            raise ShapeError(
                f"network: gave {tuple(y.shape)} for {tuple(x.shape)} at scale {s}; check its declared scale"
            )
        return y

    def _tiled(self, x: Tensor, side: int, field: Box) -> Tensor:
        net, s = self.net, self.net.scale
        parts = tiles(*x.shape[-2:], side=side, halo=net.halo, multiple=net.multiple, scale=s, field=field)
        if len(parts) == 1:
            return self._answer(self._forward, x[:, :, *parts[0].read])[:, *parts[0].keep]
        out = torch.empty((self.asking.planes, *_restored_shape(field, s)), device=self.device)
        for tile in parts:
            out[:, *tile.paste] = self._answer(self._forward, x[:, :, *tile.read])[:, *tile.keep]
        return out

    def _blended(self, x: Tensor, side: int, field: Box) -> Tensor:
        s, overlap = self.net.scale, max(self.net.halo, int(OVERLAP * side))
        boxes = overlapping_boxes((x.shape[-2], x.shape[-1]), side, overlap, self.net.multiple)
        wanted = tuple(slice(s * part.start, s * part.stop) for part in field)
        if len(boxes) == 1:
            return self._answer(self._forward, x)[:, *wanted]
        if not self._said and self._side is None:
            self._side = side
            self._said = [
                f"tiles: the frame does not fit into memory and the network sees all of it; goes on in blended tiles of {side} "
                "px, which can change pixels"
            ]
        blend = Blend(self.asking.planes, (x.shape[-2] * s, x.shape[-1] * s), self.device)
        for box in boxes:
            at = (slice(s * box[0].start, s * box[0].stop), slice(s * box[1].start, s * box[1].stop))
            blend.add(self._answer(self._forward, x[:, :, *box]), at, s * overlap)
        return blend.result()[:, *wanted]


def _restored_shape(field: Box, scale: int) -> tuple[int, int]:
    rows, columns = field
    return (rows.stop - rows.start) * scale, (columns.stop - columns.start) * scale

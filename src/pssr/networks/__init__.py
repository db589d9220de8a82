"""Generators: `(N, F, h, w) -> (N, 1, s*h, s*w)`, each declaring scale, frames, halo, multiple and local."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from torch import Tensor, nn

from pssr.errors import ConfigError
from pssr.networks.edsr import edsr
from pssr.parts import Part, build

NETWORKS: dict[str, Callable[..., nn.Module]] = {"edsr": edsr}
DECLARED = ("scale", "frames", "halo", "multiple", "local")


@runtime_checkable
class Generator(Protocol):
    """What a network must be and declare: an `nn.Module` with five facts about itself.

    `halo` is how far, in low-resolution pixels, an output pixel can see; `multiple` what the input's
    sides must be multiples of; `local` is False where one pixel can see the whole image.
    """

    scale: int
    frames: int
    halo: int
    multiple: int
    local: bool

    # What follows is nn.Module's own.
    def __call__(self, x: Tensor, /) -> Tensor: ...  # noqa: D102
    def parameters(self) -> Iterator[nn.Parameter]: ...  # noqa: D102
    def buffers(self) -> Iterator[Tensor]: ...  # noqa: D102
    def state_dict(self) -> dict[str, Tensor]: ...  # noqa: D102
    def load_state_dict(self, state: Mapping[str, Tensor], /) -> Any: ...  # noqa: D102
    def to(self, *to: Any, **how: Any) -> "Generator": ...  # noqa: D102
    def train(self) -> "Generator": ...  # noqa: D102
    def eval(self) -> "Generator": ...  # noqa: D102


def network(part: Part, *, frames: int, scale: int) -> Generator:
    """A network from its part, checked for what it must declare.

    Args:
        part: a name in `NETWORKS` or `module:attribute`, with settings.
        frames: frames in a bundle.
        scale: output pixels per input pixel along each axis.

    Raises:
        ConfigError: unknown network or setting, or a network that declares too little or another scale.
    """
    made = build(part, NETWORKS, frames=frames, scale=scale)
    net = made if isinstance(made, nn.Module) else made()
    missing = [name for name in DECLARED if not hasattr(net, name)]
    if missing:
        raise ConfigError(f"{part.name}: the network does not declare {', '.join(missing)}; add them")
    if (net.frames, net.scale) != (frames, scale):
        raise ConfigError(
            f"{part.name}: the network is for {net.frames} frames at scale {net.scale}; the run asks for {frames} at {scale}"
        )
    return cast(Generator, net)

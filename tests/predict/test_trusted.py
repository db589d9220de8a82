"""Networks of one's own, which a model file may name with settings of any size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pssr.config import Config, preset
from pssr.errors import ModelError
from pssr.model_file import Model, save
from pssr.predict.predictor import Predictor

MODULE = __name__.partition(":")[0]
MOVIE = np.random.default_rng(0).integers(100, 900, (3, 16, 16)).astype(np.uint16)
BUILT: list[str] = []


class Own(torch.nn.Module):
    """It keeps numbers outside its state: a table, and a buffer that is not saved."""

    halo, multiple, local = 1, 1, True

    def __init__(self, *, frames: int, scale: int, width: int = 4) -> None:
        super().__init__()
        self.frames, self.scale = frames, scale
        self.table = torch.linspace(0.5, 1.5, 3)
        BUILT.append(self.table.device.type)
        self.register_buffer("gain", torch.full((1,), 2.0), persistent=False)
        self.first = torch.nn.Conv2d(frames, width, 3, padding=1)
        self.last = torch.nn.Conv2d(width, scale**2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pixel_shuffle(
            self.last(self.first(x)) * self.gain * self.table[1], self.scale
        )


class Computing(Own):
    """It asks for the value of a tensor while it is built, which one without memory does not have."""

    def __init__(self, *, frames: int, scale: int, width: int = 4) -> None:
        super().__init__(frames=frames, scale=scale, width=width)
        self.middle = float(self.table[1])


class Loading(Own):
    """It gives itself weights while it is built."""

    def __init__(self, *, frames: int, scale: int, width: int = 4) -> None:
        super().__init__(frames=frames, scale=scale, width=width)
        self.load_state_dict(ready(width))


def ready(width: int = 4) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = {
        "first.weight": (width, 1, 3, 3),
        "first.bias": (width,),
        "last.weight": (4, width, 1, 1),
        "last.bias": (4,),
    }
    return {name: torch.rand(shape, generator=rng) for name, shape in shapes.items()}


def model_of(name: str, **settings: int) -> Model:
    tree = preset("movie").model_dump(mode="json")
    config = Config(**tree | {"frames": 1, "scale": 2, "network": {f"{__name__}:{name}": settings}})
    return Model(config, ready(), (0.0, 1.0), (), 1, {})


@pytest.mark.parametrize("name", ["Own", "Computing", "Loading"])
def test_a_network_of_ones_own_is_used_with_all_of_its_numbers(name: str, tmp_path: Path):
    save(model_of(name), tmp_path / "a.safetensors")
    predictor = Predictor.load(tmp_path / "a.safetensors", device="cpu", trust=[MODULE])
    assert predictor.net.gain.tolist() == [2.0]
    assert predictor.net.table.tolist() == [0.5, 1.0, 1.5]
    assert all(torch.equal(w, predictor.net.state_dict()[key]) for key, w in ready().items())
    assert predictor.predict(MOVIE).shape == (3, 32, 32)


def test_one_larger_than_its_weights_takes_no_memory():
    BUILT.clear()
    with pytest.raises(ModelError, match=r"do not fit .*'first.bias' is \(4,\), the network's \(9999,\)"):
        Predictor.of(model_of("Own", width=9999), trust=[MODULE])
    assert BUILT == ["meta"]


def test_one_that_computes_while_it_is_built_is_compared_before_it_is_used():
    with pytest.raises(ModelError, match=r"do not fit .*'first.bias' is \(4,\), the network's \(9,\)"):
        Predictor.of(model_of("Computing", width=9), trust=[MODULE])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int64])
def test_weights_of_another_type_are_refused(dtype: torch.dtype):
    model = model_of("Own")
    weights = {**model.weights, "last.bias": torch.ones(4, dtype=dtype)}
    told = str(dtype).removeprefix("torch.")
    with pytest.raises(ModelError, match=f"'last.bias' is {told}, the network's float32"):
        Predictor.of(replace(model, weights=weights), trust=[MODULE])

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pssr.config import preset
from pssr.data.intensity import as_in_training, measure
from pssr.errors import ConfigError
from pssr.model_file import Model
from pssr.networks.edsr import edsr
from pssr.predict.asking import TURNS, Asking, Together, ask, turned_answer
from pssr.predict.engine import Engine
from pssr.predict.loading import together

CPU = torch.device("cpu")


def frames(copies: int = 1, h: int = 9, w: int = 6, f: int = 3) -> Tensor:
    return torch.rand((copies, f, h, w), generator=torch.Generator().manual_seed(0))


def nearest(x: Tensor) -> Tensor:
    """An equivariant network: what is turned before is turned after."""
    return functional.interpolate(x[:, x.shape[1] // 2, None], scale_factor=2)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    made = edsr(frames=3, scale=2, width=4, blocks=1).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return made.requires_grad_(False)


def by_hand(net: nn.Module, x: Tensor) -> np.ndarray:
    """The answers to the eight flips and turns, turned back by numpy."""
    answers = []
    for mirrored in (False, True):
        for quarter in range(4):
            seen = x[0].numpy()
            seen = np.rot90(seen[..., ::-1] if mirrored else seen, quarter, (-2, -1)).copy()
            answer = np.rot90(net(torch.from_numpy(seen)[None])[0, 0].numpy(), -quarter, (-2, -1))
            answers.append(answer[..., ::-1] if mirrored else answer)
    return np.stack(answers)


def test_there_are_eight_different_turns():
    corners = torch.arange(6.0).reshape(1, 1, 2, 3)
    ways = {tuple(_seen(corners, *turn).flatten().tolist()) for turn in TURNS}
    assert len(ways) == len(TURNS) == 8


def _seen(x: Tensor, quarter: int, mirrored: bool) -> Tensor:
    """What the network gets to see of a turned input."""
    given: list[Tensor] = []
    turned_answer(lambda x: given.append(x) or x, x, quarter, mirrored)
    return given[0]


@pytest.mark.parametrize("turn", TURNS)
def test_the_answer_is_turned_back(turn):
    x = frames()
    assert torch.equal(turned_answer(lambda x: x, x, *turn), x)
    assert torch.equal(turned_answer(nearest, x, *turn), nearest(x))


def test_a_network_that_is_asked_once_gives_its_answer(net):
    x = frames()
    answer = ask(net, x, Asking())
    assert (Asking().copies, Asking().planes) == (1, 1)
    assert torch.equal(answer, net(x)[0])


def test_a_network_to_which_turns_are_alike_has_no_spread_over_them():
    x = frames(copies=4)
    plain = ask(nearest, x, Asking())
    assert torch.equal(ask(nearest, x, Asking(turns=True)), plain)
    answer, over_turns, over_noise = ask(nearest, x, Asking(turns=True, spread=True, draws=3))
    assert torch.equal(answer, plain[0])
    assert (over_turns == 0).all()
    assert (over_noise > 0).all()


def test_turns_are_averaged(net):
    x = frames()
    answers = by_hand(net, x)
    assert answers.std(0).max() > 1e-3
    np.testing.assert_allclose(ask(net, x, Asking(turns=True))[0], answers.mean(0), atol=1e-6)


@pytest.mark.parametrize("turns", [False, True])
def test_spread_is_the_standard_deviation_of_the_answers(net, turns):
    x = frames(copies=5)
    asking = Asking(turns=turns, spread=True, draws=4)
    assert (asking.copies, asking.planes) == (5, 3)
    answer, over_turns, over_noise = ask(net, x, asking)
    answers = by_hand(net, x)
    restored = answers.mean(0) if turns else net(x[:1])[0, 0].numpy()
    drawn = np.stack([net(x[k : k + 1])[0, 0].numpy() for k in range(1, 5)])
    np.testing.assert_allclose(answer, restored, atol=1e-6)
    np.testing.assert_allclose(over_turns, answers.std(0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(over_noise, drawn.std(0, ddof=1), atol=1e-6)


def test_spread_of_answers_far_from_zero_is_exact():
    """The difference of two large squares would leave nothing of it in float32."""
    x = 1e-4 * frames(copies=4)
    _, _, over_noise = ask(lambda x: nearest(x) + 500, x, Asking(spread=True, draws=3))
    drawn = (nearest(x)[1:] + 500).numpy()[:, 0].astype(np.float64)
    np.testing.assert_allclose(over_noise, drawn.std(0, ddof=1), atol=1e-7)


def test_one_draw_has_no_spread(net):
    assert (ask(net, frames(copies=2), Asking(spread=True, draws=1))[2] == 0).all()


def model(seed: int, reference: tuple[float, float], **changes) -> Model:
    torch.manual_seed(seed)
    config = preset("movie").changed(
        {"scale": 2, "frames": 3, "network.edsr": {"width": 4, "blocks": 1 + seed}} | changes
    )
    net = edsr(frames=config.frames, scale=2, width=4, blocks=1 + seed)
    return Model(config, net.state_dict(), reference, sources=(), steps=1, scores={})


def test_networks_of_other_brightness_are_averaged_in_counts():
    movie = np.random.default_rng(0).integers(90, 4000, (3, 20, 17), np.uint16)
    models = [model(0, (0.02, 0.9)), model(1, (0.11, 0.55)), model(2, (-0.3, 1.4))]
    own = measure(movie)

    def counts(used: list[Model]) -> np.ndarray:
        """What some models as one answer, in counts."""
        scale = as_in_training(own, used[0].reference)
        net = together(used, ["a", "b", "c"][: len(used)], CPU, ())
        planes = [torch.from_numpy(scale.to_unit(plane))[None] for plane in movie]
        return scale.from_unit(Engine(net, CPU)(planes)[0].numpy(), np.dtype(np.float64))

    each = [counts([one]) for one in models]
    assert np.abs(each[0] - each[1]).max() > 1
    # Counts of up to 4000, from numbers of 24 bits.
    np.testing.assert_allclose(counts(models), np.mean(each, 0), atol=0.01)
    np.testing.assert_allclose(counts(models[1:] + models[:1]), np.mean(each, 0), atol=0.01)


def test_a_model_whose_training_frames_were_flat_does_not_spoil_the_average():
    net = together([model(0, (0.0, 1.0)), model(1, (0.5, 0.5))], ["a", "b"], CPU, ())
    assert torch.isfinite(net(frames())).all()


@pytest.mark.parametrize("change", [{"frames": 1}, {"ends": "repeat"}])
def test_only_models_alike_are_averaged(change):
    (word,) = change
    with pytest.raises(ConfigError, match=f"b: its {word} is .*; only models alike can be averaged"):
        together([model(0, (0.0, 1.0)), model(1, (0.0, 1.0), **change)], ["a", "b"], CPU, ())


class Coarse(nn.Module):
    """Sees a grid of its own."""

    scale, frames, local = 1, 1, True

    def __init__(self, multiple: int, halo: int) -> None:
        super().__init__()
        self.multiple, self.halo = multiple, halo

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(functional.avg_pool2d(x, self.multiple), scale_factor=self.multiple)


def test_several_networks_see_as_far_as_the_farthest_on_a_grid_of_all():
    both = Together([Coarse(4, 5), Coarse(6, 7)], [(1.0, 0.0), (1.0, 0.0)])
    assert (both.halo, both.multiple, both.scale, both.frames) == (7, 12, 1, 1)
    assert both.local
    x = [torch.rand((1, 40, 51), generator=torch.Generator().manual_seed(0))]
    assert torch.equal(Engine(both, CPU)(x), Engine(both, CPU, tile_px=12)(x))


def test_several_networks_are_local_where_all_are():
    far = Coarse(1, 1)
    far.local = False
    assert not Together([Coarse(1, 1), far], [(1.0, 0.0), (1.0, 0.0)]).local

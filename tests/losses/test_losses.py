import pytest
import torch

from pssr.errors import ConfigError
from pssr.losses import TwoPass, total


def two_pass(first: float, second: float, target: float) -> TwoPass:
    return TwoPass(*(torch.full((1, 1, 2, 2), value) for value in (first, second, target)))


def test_the_movie_loss_is_both_distances_to_the_truth_and_the_distance_between_both():
    loss, terms = total(two_pass(0.3, 0.6, 0.5), {"l1": 1.0, "stability": 1.0})
    assert {name: round(float(term), 6) for name, term in terms.items()} == {"l1": 0.3, "stability": 0.3}
    assert float(loss) == pytest.approx(0.6)


def test_the_weight_of_the_stability_is_a_setting():
    loss, _ = total(two_pass(0.3, 0.6, 0.5), {"l1": 1.0, "stability": 0.2})
    assert float(loss) == pytest.approx(0.3 + 0.2 * 0.3)


def test_the_loss_of_a_fixed_linear_model_is_as_computed_by_hand():
    """M(x) = 2 x + 0.1 on X1 = 0.1, X2 = 0.3 and T = 0.5: |0.3-0.5| + |0.7-0.5| + |0.3-0.7| = 0.8."""
    net = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.constant_(net.weight, 2.0)
    torch.nn.init.constant_(net.bias, 0.1)
    x1, x2 = torch.full((1, 1, 3, 3), 0.1), torch.full((1, 1, 3, 3), 0.3)
    y1, y2 = net(torch.cat([x1, x2])).chunk(2)
    loss, _ = total(TwoPass(y1, y2, torch.full((1, 1, 3, 3), 0.5)), {"l1": 1.0, "stability": 1.0})
    assert float(loss.detach()) == pytest.approx(0.8, abs=1e-6)
    # d/dw: -0.1 for Y1 below T, +0.3 for Y2 above it, and the stability pulls both together: -0.1 + 0.3.
    loss.backward()
    assert float(net.weight.grad) == pytest.approx(0.4, abs=1e-6)
    assert float(net.bias.grad) == pytest.approx(0.0, abs=1e-6)


def test_the_stability_pulls_on_both_answers_alike():
    first, second = torch.rand(1, 1, 4, 4, requires_grad=True), torch.rand(1, 1, 4, 4, requires_grad=True)
    loss, _ = total(TwoPass(first, second, torch.zeros(1, 1, 4, 4)), {"stability": 1.0})
    loss.backward()
    sign = torch.sign(first.detach() - second.detach()) / 16
    torch.testing.assert_close(first.grad, sign)
    torch.testing.assert_close(second.grad, -sign)


def test_a_perfectly_stable_model_pays_nothing_for_stability():
    _, terms = total(two_pass(0.4, 0.4, 0.9), {"stability": 1.0})
    assert float(terms["stability"]) == 0


def test_a_term_of_ones_own_is_any_function_of_both_answers(monkeypatch):
    loss, _ = total(two_pass(0.3, 0.6, 0.5), {"pssr.losses.pixel:mse": 1.0})
    assert float(loss) == pytest.approx(0.04 + 0.01)


def test_an_unknown_term_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="stabilty: no part of that name; did you mean 'stability'"):
        total(two_pass(0.3, 0.6, 0.5), {"stabilty": 1.0})

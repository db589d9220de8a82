import copy

import pytest
import torch

from pssr.crappify.chain import crappifier
from pssr.crappify.noise import Gaussian
from pssr.crappify.optics import Bin
from pssr.networks.edsr import edsr
from pssr.training.steps import Learner, learn, made_bad, repeated_alike, two_pass


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def learner(net=None, sigma: float = 0.1, **changed) -> Learner:
    torch.manual_seed(0)
    net = net or edsr(frames=3, scale=2, width=8, blocks=1)
    settings = {"weights": {"l1": 1.0, "stability": 1.0}, "clip": 1.0, "dtype": torch.float32} | changed
    return Learner(
        net, torch.optim.AdamW(net.parameters(), lr=1e-3), crappifier([Bin(), Gaussian(sigma)], 2), **settings
    )


def both(setup: Learner, bundles: torch.Tensor, draws: torch.Generator, real=None):
    return two_pass(setup, made_bad(setup, bundles, draws, real))


def always(_group: int) -> torch.Generator:
    return rng()


def good() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=rng(5))


def test_both_answers_are_compared_with_the_same_middle_frame():
    p = both(learner(), good(), rng())
    assert torch.equal(p.target, good()[:, 1:2])
    assert p.first.shape == p.second.shape == p.target.shape
    assert not torch.equal(p.first, p.second)


def test_one_forward_gives_what_two_would():
    setup = learner()
    p = both(setup, good(), rng())
    first, second = setup.crappifier.two_draws(good(), rng())
    torch.testing.assert_close(p.first, setup.net(first))
    torch.testing.assert_close(p.second, setup.net(second))


def test_one_step_moves_the_weights_once_for_both_copies():
    setup = learner()
    before = copy.deepcopy(setup.net.state_dict())
    done = learn(setup, good(), always, lr=1e-3, batch=4)
    assert done.loss == pytest.approx(done.terms["l1"] + done.terms["stability"], abs=1e-6)
    assert all(not torch.equal(before[name], w) for name, w in setup.net.state_dict().items())
    assert {int(s["step"]) for s in setup.optimizer.state.values()} == {1}


def test_without_noise_both_answers_are_equal():
    assert learn(learner(sigma=0.0), good(), always, lr=1e-3, batch=4).terms["stability"] == 0


def test_a_frame_that_occurs_twice_has_the_same_noise_twice():
    """As where the network is used: a mirrored end repeats the frame as it was recorded."""
    mirrored = good()
    mirrored[0, 2] = mirrored[0, 0]
    mirrored[1] = mirrored[1, :1]
    mirrored[2] = 0.0
    (low,) = repeated_alike([learner().crappifier(mirrored, rng())], mirrored)
    assert torch.equal(low[0, 0], low[0, 2])
    assert not torch.equal(low[0, 0], low[0, 1])
    assert torch.equal(low[1, 0], low[1, 1])
    assert torch.equal(low[1, 0], low[1, 2])
    assert not torch.equal(low[2, 0], low[2, 1]), "what is empty has fresh noise"
    assert not torch.equal(low[3, 0], low[3, 2])


def test_brightness_changes_bad_and_good_copies_alike():
    """A network that gives the nearest neighbours of what it sees shows the scale of both copies."""
    enlarge = torch.nn.Upsample(scale_factor=2, mode="nearest")

    class Middle(torch.nn.Module):
        scale, frames, halo, multiple, local = 2, 3, 0, 1, True

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, low):
            return enlarge(low[:, 1:2]) + 0 * self.weight

    flat = torch.rand(40, 1, 1, 1, generator=rng(3)).expand(40, 3, 16, 16).contiguous()
    p = both(learner(Middle(), sigma=0.0, gain=0.25), flat, rng())
    torch.testing.assert_close(p.first, p.target)
    torch.testing.assert_close(p.second, p.target)
    assert float((p.target - flat[:, 1:2]).abs().mean()) > 0.02
    unchanged = both(learner(Middle(), sigma=0.0), flat, rng())
    assert torch.equal(unchanged.target, flat[:, 1:2])


def test_a_step_whose_loss_is_no_number_is_skipped():
    setup = learner()
    before = copy.deepcopy(setup.net.state_dict())
    assert learn(setup, good() * float("nan"), always, lr=1e-3, batch=4).skipped
    assert all(torch.equal(before[name], w) for name, w in setup.net.state_dict().items())


def test_the_stability_loss_makes_the_network_less_sensitive_to_noise():
    """At equal steps the answers to two draws differ less, and the truth is missed by little more."""
    truth = torch.zeros(8, 3, 32, 32)
    for k in range(3):
        truth[:, k, 8:24, 13 + k : 17 + k] = 1.0

    def trained(weight: float) -> tuple[float, float]:
        setup, draws = learner(sigma=0.3, weights={"l1": 1.0, "stability": weight}), rng()
        for _ in range(150):
            terms = learn(setup, truth, lambda _: draws, lr=3e-3, batch=8).terms
        return terms["stability"], terms["l1"]

    plain, steady = trained(0.0), trained(2.0)
    assert steady[0] < 0.9 * plain[0]
    assert steady[1] < 1.3 * plain[1]


def test_a_real_bundle_takes_the_place_of_the_first_copy_where_there_is_one():
    setup, real = learner(), torch.rand(4, 3, 8, 8, generator=rng(9))
    real[1:3] = float("nan")
    p, without = both(setup, good(), rng(), real), both(setup, good(), rng())
    torch.testing.assert_close(p.first[[0, 3]], setup.net(real[[0, 3]]))
    torch.testing.assert_close(p.first[1:3], without.first[1:3])
    torch.testing.assert_close(p.second, without.second)


@pytest.mark.parametrize("micro", [1, 3, 4, 6])
def test_a_batch_that_is_divided_among_forwards_gives_the_same_step(micro: int):
    many = torch.rand(10, 3, 16, 16, generator=rng(5))
    whole, divided = learner(), learner()
    a = learn(whole, many, rng, lr=1e-3, batch=10)
    b = learn(divided, many, rng, lr=1e-3, batch=10, micro=micro)
    assert b.loss == pytest.approx(a.loss, rel=1e-5)
    for p, q in zip(whole.net.parameters(), divided.net.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-6)

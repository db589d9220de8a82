import warnings

import pytest
import torch

from pssr.networks.weights import misfit

OWN = {"a": torch.zeros(2, 3), "n": torch.tensor(0)}


def changed(**weights: object) -> dict[str, object]:
    return {"a": torch.ones(2, 3), "n": torch.tensor(7)} | weights


def sparse(kind: str, index: int) -> torch.Tensor:
    """A tensor of 2 x 3 with one value, whose place need not be inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "csr":
            starts, places = torch.tensor([0, 1, 1]), torch.tensor([index])
            return torch.sparse_csr_tensor(starts, places, torch.ones(1), (2, 3), check_invariants=False)
        places = torch.tensor([[0], [index]])
        return torch.sparse_coo_tensor(places, torch.ones(1), (2, 3), check_invariants=False)


def test_weights_that_are_just_those_have_no_misfit():
    assert misfit(changed(), OWN) == ""
    assert misfit(changed(), {name: w.to("meta") for name, w in OWN.items()}) == ""


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"a": torch.ones(2, 3)}, "the file has no 'n'"),
        (changed(b=torch.ones(1)), "the network has no 'b'"),
        (changed(a=torch.ones(3, 2)), "'a' is (3, 2), the network's (2, 3)"),
        (changed(a=torch.ones(2, 3).half()), "'a' is float16, the network's float32"),
        (changed(a=torch.ones(2, 3, dtype=torch.int64)), "'a' is int64, the network's float32"),
        (changed(n=torch.tensor(7.0)), "'n' is float32, the network's int64"),
        (changed(a=torch.full((2, 3), torch.inf)), "'a' has values that are not numbers"),
        (changed(a=[1, 2]), "'a' is no plain tensor"),
        (None, "the file has no 'a'"),
        ([1, 2], "the file has no 'a'"),
    ],
)
def test_the_first_misfit_is_told_in_words(weights: object, told: str):
    assert misfit(weights, OWN) == told


@pytest.mark.parametrize("kind", ["csr", "coo"])
@pytest.mark.parametrize("index", [1, 10**9])
def test_a_sparse_tensor_is_no_weight_wherever_its_places_lead(kind: str, index: int):
    assert misfit(changed(a=sparse(kind, index)), OWN) == "'a' is no plain tensor"

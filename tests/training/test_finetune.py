from pathlib import Path

import pytest
import torch
from small_runs import config, movie

from pssr.errors import ConfigError, ModelError
from pssr.model_file import load
from pssr.training.fit import fit

EDSR = {"edsr": {"width": 8, "blocks": 1}}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("first") / "run"
    list(fit(config(train__steps=10), [movie()], run))
    return run


def tuned(first: Path, out: Path, steps: int = 2, **changed) -> Path:
    asked = config(init=str(first), train__steps=steps, **{"train__ema": 0.0, **changed})
    list(fit(asked, [movie(seed=2)], out))
    return out


def test_training_starts_from_the_weights_of_a_model(first: Path, tmp_path: Path):
    tuned(first, tmp_path / "a", steps=1, train__lr=1e-12, train__weight_decay=0.0)
    old, new = load(first).weights, load(tmp_path / "a").weights
    assert all(torch.allclose(old[name], new[name], atol=1e-6) for name in old)


def test_a_model_knows_all_that_it_came_from(first: Path, tmp_path: Path):
    second = tuned(first, tmp_path / "second", steps=3)
    third = load(tuned(second, tmp_path / "third"))
    assert [one.sha256 for one in third.ancestors] == [load(first).sha256, load(second).sha256]
    assert [(one.steps, tuple(one.sources)) for one in third.ancestors] == [
        (10, ("movie 0",)),
        (3, ("movie 0",)),
    ]


def test_a_run_that_goes_on_does_not_begin_with_the_model_again(first: Path, tmp_path: Path):
    gone = tmp_path / "gone"
    list(fit(config(train__steps=10), [movie()], gone))
    run = tuned(gone, tmp_path / "a", steps=3)
    for path in gone.iterdir():
        if path.is_file():
            path.unlink()
    tuned(gone, run, steps=5)
    assert load(run).steps == 5
    assert len(load(run).ancestors) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": {"edsr": {"width": 6, "blocks": 1}}}, r"init: .*: '.*' is \(.*\), the network's \(.*\); use the settings"),
        ({"network": {"edsr": {"width": 8, "blocks": 2}}}, r"init: .*: the (file|network) has no 'body"),
        ({"frames": 1}, "init: the model has frames=3, the run 1; set frames=3"),
        ({"scale": 4}, "init: the model has scale=2, the run 4; set scale=2"),
    ],
)  # fmt: skip
def test_a_model_of_another_network_is_refused_with_what_does_not_fit(
    first: Path, tmp_path: Path, changed: dict, message: str
):
    with pytest.raises(ModelError, match=message):
        tuned(first, tmp_path / "a", **changed)
    assert not (tmp_path / "a").exists()


def test_what_is_frozen_stays_to_the_last_bit_and_the_rest_learns(first: Path, tmp_path: Path):
    tuned(first, tmp_path / "a", steps=4, train__freeze=["body", "head.bias"])
    old, new = load(first).weights, load(tmp_path / "a").weights
    same = {name for name in old if torch.equal(old[name], new[name])}
    assert same == {name for name in old if name.startswith("body.")} | {"head.bias"}


def test_the_state_of_a_partly_frozen_run_is_gone_on_with(first: Path, tmp_path: Path):
    tuned(first, tmp_path / "whole", steps=6, train__freeze=["body"])
    tuned(first, tmp_path / "parts", steps=6, train__freeze=["body"], train__save_every_s=1e-9)
    longer = [tuned(first, tmp_path / name, steps=9, train__freeze=["body"]) for name in ("whole", "parts")]
    a, b = (load(run).weights for run in longer)
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (["bdy"], "train.freeze: no weights begin with 'bdy'; did you mean 'body'"),
        (["hea"], "no weights begin with 'hea'"),
        (["head", "body", "tail"], "train.freeze: nothing is left to learn; name fewer parts"),
    ],
)
def test_a_part_that_is_not_there_cannot_be_frozen(tmp_path: Path, freeze: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        list(fit(config(train__freeze=freeze), [movie()], tmp_path / "a"))

import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import config, losses, movie

from pssr.errors import ConfigError, ModelError
from pssr.model_file import load
from pssr.predict.events import Noted
from pssr.training.checkpoint import digest, load_state, save_state
from pssr.training.events import Saved, Step
from pssr.training.fit import fit
from pssr.training.run import Run


def test_the_checksum_sees_every_value():
    tree = {"a": torch.arange(4.0), "b": [1, 2.5, None], "c": {"d": "x"}}
    found = {digest(tree)}
    for changed in (
        {**tree, "a": torch.tensor([0.0, 1, 2, 3.0000002])}, {**tree, "a": tree["a"].double()}, {**tree, "b": [1, 2.5]},
        {**tree, "c": {"d": "y"}}, {**tree, "a": tree["a"].reshape(2, 2)}, {**tree, "b": [1, 2.5, 0]},
    ):  # fmt: skip
        found.add(digest(changed))
    assert len(found) == 7


def stopped(run: Path, at: int) -> None:
    """A training that saves after every step and is closed."""
    with closing(fit(config(train__save_every_s=1e-9), [movie()], run)) as events:
        for event in events:
            if isinstance(event, Step) and event.step == at:
                break


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "garbage"])
def test_a_damaged_state_is_noticed_and_the_one_before_it_used(tmp_path: Path, damage: str):
    stopped(tmp_path / "run", 15)
    state = tmp_path / "run" / "state.pt"
    content = bytearray(state.read_bytes())
    match damage:
        case "flipped":
            # Somewhere inside a tensor: torch.load does not notice.
            weights = torch.load(state, weights_only=True)["net"]["tail.bias"]
            content[bytes(content).index(weights.numpy().tobytes()) + 1] ^= 1
            state.write_bytes(bytes(content))
            changed = torch.load(state, weights_only=True)["net"]["tail.bias"]
            assert not torch.equal(weights, changed)
        case "cut":
            del content[len(content) // 2 :]
        case "empty":
            content.clear()
        case "garbage":
            content[:] = np.random.default_rng(0).bytes(len(content))
    state.write_bytes(bytes(content))
    events = list(fit(config(train__save_every_s=1e-9), [movie()], tmp_path / "run"))
    assert any(isinstance(e, Noted) and "state.pt: is damaged" in e.message for e in events)
    assert next(e.step for e in events if isinstance(e, Step)) <= 15
    list(fit(config(), [movie()], tmp_path / "whole"))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    a, b = (load(tmp_path / name).weights for name in ("whole", "run"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_damaged_state_never_takes_the_place_of_the_whole_one(tmp_path: Path):
    run = Run(tmp_path / "run", config())
    stopped(run.folder, 15)
    run.state.write_bytes(b"gone")
    whole = run.before.read_bytes()
    with closing(fit(config(train__save_every_s=1e-9), [movie()], run.folder)) as events:
        next(event for event in events if isinstance(event, Step))
        assert not run.state.exists()
        assert run.before.read_bytes() == whole
        next(event for event in events if isinstance(event, Saved))
        assert run.before.read_bytes() == whole


def test_nothing_whole_left_is_an_error_that_says_what_to_do(tmp_path: Path):
    stopped(tmp_path / "run", 15)
    for name in ("state.pt", "state.before.pt"):
        (tmp_path / "run" / name).write_bytes(b"gone")
    with pytest.raises(ModelError, match=r"state.pt: is damaged; remove the folder or say restart=True"):
        list(fit(config(), [movie()], tmp_path / "run"))
    list(fit(config(), [movie()], tmp_path / "run", restart=True))
    assert load(tmp_path / "run").steps == 60


def test_a_sparse_tensor_is_refused_before_it_is_used(tmp_path: Path):
    """Loaded as data only it may name memory that is not its own."""
    run = Run(tmp_path, config())
    crows = torch.tensor([0, 1])
    warnings.simplefilter("ignore")
    sparse = torch.sparse_csr_tensor(crows, torch.tensor([0]), torch.tensor([1.0]), (1, 1))
    torch.save({"step": 1, "sources": [], "net": {"w": sparse}, "sha256": "0" * 64}, run.state)
    with pytest.raises(ModelError, match="is damaged"):
        load_state(run, [])


def test_at_every_moment_of_a_save_a_whole_state_is_there(tmp_path: Path, monkeypatch):
    run = Run(tmp_path, config())
    kept: list[int] = []
    replace = Path.replace

    def looking(self: Path, target: Path) -> Path:
        found = load_state(run, [])
        if found:
            kept.append(found[0]["step"])
        return replace(self, target)

    save_state(run, {"step": 1, "sources": []})
    monkeypatch.setattr(Path, "replace", looking)
    save_state(run, {"step": 2, "sources": []})
    save_state(run, {"step": 3, "sources": []})
    assert kept == [1, 1, 1, 2, 2, 2]
    found = load_state(run, [])
    assert found
    assert found[0]["step"] == 3


def test_a_run_of_another_version_is_refused_with_both_versions(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    path = tmp_path / "run/state.pt"
    state = torch.load(path, weights_only=True)
    del state["sha256"]
    state["version"] = "0.0.9"
    torch.save({**state, "sha256": digest(state)}, path)
    with pytest.raises(ConfigError, match=r"was begun by pssr-toolkit 0.0.9, this is .* restart=True"):
        list(fit(config(train__steps=4), [movie()], tmp_path / "run"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda net: net.update({"tail.bias": torch.zeros(5)}), r"'tail.bias' is \(5,\), the network's \(4,\)"),
        (lambda net: net.pop("tail.bias"), "the file has no 'tail.bias'"),
        (lambda net: net.update({"extra": torch.zeros(1)}), "the network has no 'extra'"),
        (lambda net: net.update({"tail.bias": torch.zeros(4).half()}), "'tail.bias' is float16, the network's float32"),
        (lambda net: net["tail.bias"].fill_(torch.nan), "'tail.bias' has values that are not numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", ["net", "averaged"])
def test_the_state_of_another_network_is_refused_and_the_misfit_named(
    tmp_path: Path, spoil, message: str, part: str
):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    path = tmp_path / "run/state.pt"
    state = torch.load(path, weights_only=True)
    del state["sha256"]
    spoil(state[part])
    torch.save({**state, "sha256": digest(state)}, path)
    before = path.read_bytes()
    with pytest.raises(ModelError, match=message):
        list(fit(config(train__steps=4), [movie()], tmp_path / "run"))
    assert path.read_bytes() == before

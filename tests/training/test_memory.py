"""Memory that runs out while a network learns: fewer patches at once, the same result."""

import json
from pathlib import Path

import pytest
import torch
from small_runs import config, movie

from pssr.errors import OutOfMemory
from pssr.predict.events import Noted
from pssr.training.events import Step
from pssr.training.fit import fit


class Large(torch.nn.Module):
    """A network for which a device has room for so many bundles at once, both copies counted, as CUDA would say it."""

    halo, multiple, local = 1, 1, True

    def __init__(self, scale: int, frames: int, room: int = 4, after: int = 0) -> None:
        super().__init__()
        self.scale, self.frames, self.room, self.after = scale, frames, room, after
        self.body = torch.nn.Conv2d(frames, scale**2, 3, padding=1)

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        self.after -= self.training
        if self.training and self.after < 0 and len(low) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.nn.functional.pixel_shuffle(self.body(low), self.scale)


def large(**changed):
    settings = changed.pop("network", {})
    return config(network={f"{__name__}:Large": settings}, train__steps=12, **changed)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "state.pt", weights_only=True)["net"]


def same(a: dict, b: dict, **tolerance) -> bool:
    return all(torch.allclose(a[key], b[key], **tolerance) for key in a)


def test_what_goes_through_at_once_is_halved_and_said_once(tmp_path: Path):
    events = list(fit(large(), [movie()], tmp_path / "halved"))
    notes = [event for event in events if isinstance(event, Noted)]
    assert [note.message for note in notes] == [
        "out of memory: 2 patches go through at once from here on; the result is the same"
    ]
    assert "out of memory: 2 patches" in (tmp_path / "halved/log.jsonl").read_text()
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 13))
    list(fit(large(train__micro=2), [movie()], tmp_path / "two"))
    list(fit(large(network={"room": 100}), [movie()], tmp_path / "all"))
    halved, two, whole = (weights(tmp_path / name) for name in ("halved", "two", "all"))
    assert same(halved, two, rtol=0, atol=0)
    assert same(halved, whole, rtol=1e-3, atol=1e-5)


def test_memory_that_runs_out_later_changes_nothing_either(tmp_path: Path):
    events = list(fit(large(network={"after": 6}), [movie()], tmp_path / "later"))
    assert sum(isinstance(event, Noted) for event in events) == 1
    list(fit(large(network={"room": 100}), [movie()], tmp_path / "all"))
    assert same(weights(tmp_path / "later"), weights(tmp_path / "all"), rtol=1e-3, atol=1e-5)


def test_a_run_that_goes_on_remembers_how_many_go_through(tmp_path: Path):
    list(fit(large(), [movie()], tmp_path / "run"))
    longer = large().changed({"train.steps": 14})
    assert not any(isinstance(event, Noted) for event in fit(longer, [movie()], tmp_path / "run"))


def test_one_patch_that_is_too_large_is_refused_before_the_first_step(tmp_path: Path):
    with pytest.raises(
        OutOfMemory, match=r"cpu: out of memory with one patch of 32 px; use a smaller data.patch_px"
    ):
        list(fit(large(network={"room": 1}), [movie()], tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_one_patch_that_is_too_large_in_the_middle_keeps_what_was_learned(tmp_path: Path):
    with pytest.raises(OutOfMemory, match="out of memory with one patch of 32 px"):
        list(fit(large(network={"room": 1, "after": 9}), [movie()], tmp_path / "run"))
    assert all(weight.isfinite().all() for weight in weights(tmp_path / "run").values())
    last = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])
    assert last["failed"].startswith("cpu: out of memory")

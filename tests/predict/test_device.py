import pytest
import torch
from torch import nn

from pssr.errors import ConfigError
from pssr.predict.device import (
    choose_device,
    choose_devices,
    chosen_precision,
    fastest_precision,
    memory_is_full,
)

CPU = torch.device("cpu")
CUDA = torch.cuda.device_count()


@pytest.fixture
def threads():
    """Two threads, as many as there were afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_devices_are_separated_by_commas():
    assert choose_devices("cpu") == (CPU,)
    assert choose_devices("cpu,cpu") == (CPU, CPU)
    assert choose_devices(" cpu , cpu ") == (CPU, CPU)


def test_auto_and_all_find_what_there_is():
    best = choose_device()
    assert best.type == ("cuda" if CUDA else "mps" if torch.backends.mps.is_available() else "cpu")
    assert choose_devices() == (best,)
    everything = tuple(torch.device(f"cuda:{k}") for k in range(CUDA)) or (best,)
    assert choose_devices("all") == everything


@pytest.mark.parametrize("name", ["cuda:99", "cuda", "gpu", "", "cpu,", "hpu", "cpu,all"])
def test_a_device_that_is_not_there_is_refused_in_words(name):
    if name == "cuda" and CUDA:
        pytest.skip("this machine has such a device")
    with pytest.raises(
        ConfigError, match=r"^device: '.*' is not available here \(.*\); use auto, cpu, cuda or mps$"
    ):
        choose_devices(name)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    ],
)
def test_words_for_full_memory_are_known(error):
    assert memory_is_full(error)


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2"), ValueError("not enough memory")])
def test_other_errors_are_not_taken_for_full_memory(error):
    assert not memory_is_full(error)


def test_memory_that_really_runs_out_is_known():
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**55)
    assert memory_is_full(told.value)


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_a_precision_that_is_asked_for_is_taken(asked):
    assert chosen_precision(asked, CPU) == asked


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="precision: 'fp8' is not one; choose auto, fp32, bf16, fp16"):
        chosen_precision("fp8", CPU)


def test_the_precision_of_a_device_is_found_again():
    found = {fastest_precision(CPU) for _ in range(20)}
    assert len(found) == 1
    # float16 is slow on processors, and not tried there.
    assert found < {"fp32", "bf16"}
    assert chosen_precision("auto", CPU) in found


class Slow(nn.Module):
    """Takes longer in some precisions, or fails."""

    def __init__(self, slow: tuple[torch.dtype, ...], *, fails: bool = False) -> None:
        super().__init__()
        self.slow, self.fails, self.seen = slow, fails, set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add((tuple(x.shape), torch.get_num_threads()))
        if self.fails:
            raise RuntimeError("no such kernel")
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        for _ in range(300 if dtype in self.slow else 30):
            x = x * 1.0
        return x


@pytest.mark.parametrize(
    ("slow", "fastest"),
    [((torch.float32,), "bf16"), ((torch.bfloat16,), "fp32"), ((torch.float32, torch.bfloat16), "fp32")],
)
def test_another_precision_is_taken_where_it_is_a_fifth_faster(slow, fastest, threads):
    layer = Slow(slow)
    assert fastest_precision(CPU, layer) == fastest
    # In one thread, and as many as before afterwards.
    assert layer.seen == {((1, 64, 96, 96), 1)}
    assert torch.get_num_threads() == threads


def test_threads_are_as_many_as_before_where_the_measurement_fails(threads):
    with pytest.raises(RuntimeError, match="no such kernel"):
        fastest_precision(CPU, Slow((), fails=True))
    assert torch.get_num_threads() == threads


def test_a_precision_that_no_processor_is_fast_in_is_refused():
    with pytest.raises(ConfigError, match="precision: fp16 takes a hundred times longer on a processor"):
        chosen_precision("fp16", CPU)


def test_devices_without_numbers_are_refused():
    with pytest.raises(ConfigError, match="'meta' is not available here"):
        choose_device("meta")

"""Where to compute, and in which precision."""

import time

import torch
from torch.nn import functional

from pssr.errors import ConfigError

Dtype = torch.dtype
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device: '{name}' is not available here ({str(error).splitlines()[0]}); use auto, cpu, cuda or mps"
        ) from error
    return device


def fast_precision(device: torch.device) -> str:
    """`bf16` where convolutions in bfloat16 are at least a quarter faster here, else `fp32`.

    A CPU may emulate bfloat16 slowly, so this is measured (about 0.2 s), not looked up.
    """
    times = {name: _conv_seconds(device, dtype) for name, dtype in PRECISIONS.items()}
    return "bf16" if times["bf16"] < 0.8 * times["fp32"] else "fp32"


@torch.inference_mode()
def _conv_seconds(device: torch.device, dtype: Dtype) -> float:
    """Best of five runs of one 3x3 convolution of 32 channels."""
    x = torch.ones((8, 32, 64, 64), device=device, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.ones((32, 32, 3, 3), device=device, dtype=dtype).to(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(4):
            functional.conv2d(x, weight, padding=1)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best

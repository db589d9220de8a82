"""Where to compute, and in which precision."""

import torch

from pssr.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


def memory_is_full(error: BaseException) -> bool:
    """Whether an error says that memory, of whatever device, has run out."""
    # On the CPU torch raises a plain RuntimeError.
    told = any(words in str(error) for words in ("can't allocate memory", "not enough memory"))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and told
    )

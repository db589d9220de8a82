"""Where to compute, and in which precision."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pssr.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FULL = ("can't allocate memory", "not enough memory", "out of memory", "STATUS_ALLOC_FAILED")
DEVICES = ("cpu", "cuda", "mps", "xpu")
FASTER = 0.8  # of the seconds in float32: what another precision must reach to be worth its rounding
TRIAL_CHANNELS, TRIAL_PX, TRIALS = 64, 96, 5


def choose_devices(names: str = "auto") -> tuple[torch.device, ...]:
    """The devices of some names, separated by commas; `all` takes every CUDA device.

    Raises:
        ConfigError: no such device here.
    """
    if names == "all":
        count = torch.cuda.device_count()
        names = ",".join(f"cuda:{k}" for k in range(count)) if count else "auto"
    return tuple(choose_device(name.strip()) for name in names.split(","))


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in DEVICES:
            raise RuntimeError("pssr does not compute there")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ConfigError(
            f"device: '{name}' is not available here ({str(error).splitlines()[0]}); use auto, cpu, cuda or mps"
        ) from error
    return device


def memory_is_full(error: BaseException) -> bool:
    """Whether an error says that memory, of whatever device, has run out."""
    # On the CPU torch raises a plain RuntimeError.
    told = any(words in str(error) for words in FULL)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and told
    )


def check_compiler(setting: str) -> None:
    """What is missing for torch to compile a network is better found now than at its first step.

    Args:
        setting: that asked for it, for the message.

    Raises:
        ConfigError: nothing can be compiled here.
    """
    try:
        torch.compile(torch.sin)(torch.ones(1))
    except Exception as error:
        why = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"{setting}: nothing can be compiled here ({why}); install a C++ compiler, or leave it out"
        ) from error


def chosen_precision(asked: str, device: torch.device) -> str:
    """The precision asked for; `auto` measures.

    Raises:
        ConfigError: no such precision, or none for this device.
    """
    if asked not in ("auto", *PRECISIONS):
        raise ConfigError(f"precision: {asked!r} is not one; choose auto, {', '.join(PRECISIONS)}")
    if asked == "fp16" and device.type == "cpu":
        raise ConfigError("precision: fp16 takes a hundred times longer on a processor; use bf16 or fp32")
    return fastest_precision(device) if asked == "auto" else asked


@torch.inference_mode()
def fastest_precision(device: torch.device, layer: Callable[[Tensor], Tensor] | None = None) -> str:
    """The precision in which a device is fast, by a short measurement.

    Another one than float32 must be a fifth faster: on processors without instructions for it, bfloat16 is slower. float16
    must be so much faster than bfloat16 again, so that chance does not decide between equals. What is timed is the same for
    every network: a small one may be about as fast in either, and would get one today and the other tomorrow.

    Args:
        device: where networks will be.
        layer: what is timed on (1, 64, 96, 96); None takes a convolution such as networks are made of.
    """
    x = torch.rand((1, TRIAL_CHANNELS, TRIAL_PX, TRIAL_PX), device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    timed = layer or nn.Conv2d(TRIAL_CHANNELS, TRIAL_CHANNELS, 3, padding=1).to(device)
    names = ["fp32", "bf16", "fp16"] if device.type == "cuda" else ["fp32", "bf16"]
    threads = torch.get_num_threads()
    # In one thread its own time can be told from that of everything else that the machine does.
    torch.set_num_threads(1)
    try:
        taken = {name: min([_seconds(timed, x, name) for _ in range(1 + TRIALS)][1:]) for name in names}
    finally:
        torch.set_num_threads(threads)
    best = names[0]
    for name in names[1:]:
        if taken[name] < FASTER * taken[best]:
            best = name
    return best


def _seconds(layer: Callable[[Tensor], Tensor], x: Tensor, name: str) -> float:
    clock = time.perf_counter if x.device.type != "cpu" else time.thread_time
    start = clock()
    with torch.autocast(x.device.type, dtype=PRECISIONS[name], enabled=name != "fp32"):
        layer(x)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return clock() - start

"""How long does a command take, and how much memory at most? `python peak.py PROGRAM ...` (Linux and macOS).

What the system says of a process is at least the memory of the one that started it. So a benchmark, which holds a network, does not
start the command itself but this file, which imports little. Where a command starts others, the memory is of the largest.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SAID = 20  # lines of a command that failed


@dataclass(frozen=True)
class Done:
    """What a command took.

    Args:
        seconds: from its start to its end.
        peak_mb: its largest resident memory, in 10 ** 6 bytes.
    """

    seconds: float
    peak_mb: float


def launched(command: Sequence[object], env: Mapping[str, str] | None = None) -> Done:
    """How long does this command take, and how much memory at most?

    Args:
        command: a program with its path, and its words.
        env: its environment; None is the present one.

    Raises:
        RuntimeError: it failed; with the last that it said.
    """
    words = [sys.executable, "-I", "-S", __file__, *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError("\n".join(done.stderr.splitlines()[-SAID:]) or f"stopped with {done.returncode}")
    return Done(**json.loads(done.stdout))


def main() -> None:
    """Start the command, wait for it, and print what it took; what it prints goes to stderr."""
    start = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_DUP2, 2, 1)]
    process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    print(json.dumps({"seconds": seconds, "peak_mb": used.ru_maxrss * unit / 1e6}))
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()

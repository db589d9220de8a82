"""How long does a person wait before anything happens? Medians of whole commands, in turn, on this machine."""

import shutil
import statistics
import subprocess
import sys
import time

RUNS = 7
COMMANDS = {
    'python -c ""': [sys.executable, "-c", ""],
    'python -c "import pssr"': [sys.executable, "-c", "import pssr"],
    "pssr --help": [shutil.which("pssr", path=str(sys.prefix) + "/bin") or "pssr", "--help"],
    'python -c "import torch"': [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print one table."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for run in range(RUNS + 1):
        for name, command in COMMANDS.items():
            taken = seconds(command)
            if run:  # the first round only fills the disk cache
                times[name].append(taken)
    torch = statistics.median(times['python -c "import torch"'])
    print(f"{'command':<28}{'median s':>10}{'of import torch':>17}")
    for name, taken in times.items():
        print(f"{name:<28}{statistics.median(taken):>10.3f}{statistics.median(taken) / torch:>17.2f}")


if __name__ == "__main__":
    main()

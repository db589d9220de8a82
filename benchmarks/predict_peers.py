"""What do other programs need for prediction, beside their own networks? Each is installed in an environment of its own.

PSSR2 is installed without what it declares, and sees empty names instead of timm, as in pssr2.py. CAREamics is too, because the
torchvision that it asks for would replace torch by an older one; its driver puts empty names in its place. Both are used as their
documentation shows: PSSR2 cuts sheets into tiles of 128 px that overlap by 32, restores them to files and puts these together;
CAREamics takes tiles of 256 px that overlap by 48. Their networks are their defaults. Restored frames are 2048 x 2048 pixels.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from peak import Done, launched
from pssr2 import NEEDS

OUT_PX = 2048  # along a side of a restored frame
PEAK_FRAMES = 20
CAREAMICS_NEEDS = (
    "numpy<=2.4.6", "lightning==2.6.1", "torchmetrics==1.8.2", "bioimageio-core<=0.11", "scikit-image==0.26.0",
    "matplotlib<=3.11.2", "pydantic<=2.14.1", "tifffile<=2026.3.3", "zarr>=3,<4", "psutil", "pillow", "pyyaml", "tqdm",
)  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """Another program.

    Args:
        name: with its version.
        folder: of its environment.
        installs: what pip is called with, in this order.
        driver: the file that runs it.
        side_px: of the frames that it is given.
        tile_px: side of the tiles that it cuts them into.
        overlap_px: of two tiles.
        to: the ways in which it can be asked, the first of which is timed.
    """

    name: str
    folder: str
    installs: tuple[tuple[str, ...], ...]
    driver: str
    side_px: int
    tile_px: int
    overlap_px: int
    to: tuple[str, ...]


TORCH = ("torch==2.13.0",)
PSSR2 = Peer(
    "PSSR2 2.4.0", "pssr2-2.4.0", (TORCH, NEEDS, ("--no-deps", "pssr==2.4.0")),
    "pssr2_predict_driver.py", OUT_PX // 4, 128, 32, ("disk",),
)  # fmt: skip
CAREAMICS = Peer(
    "CAREamics 0.3.5", "careamics-0.3.5", (TORCH, CAREAMICS_NEEDS, ("--no-deps", "careamics==0.3.5", "microssim==0.0.5")),
    "careamics_driver.py", OUT_PX, 256, 48, ("disk", "memory"),
)  # fmt: skip


class NotRun(Exception):
    """A peer that cannot be measured here, and why."""


def peers(envs: Path, frames: int, runs: int) -> None:
    """What do they need for a restored megapixel, of their bare network, and in memory?

    Args:
        envs: folder of their environments, which are made where they are missing.
        frames: that are timed.
        runs: rounds; the middle one is printed.
    """
    print(f"\n{'':<58}{'s / Mpx':>10}{'of bare, same tiles':>21}{'of bare, whole frames':>23}")
    for peer in (PSSR2, CAREAMICS):
        try:
            python = environment(envs / peer.folder, peer.installs)
            timed(peer, python, frames, runs)
            for to in peer.to:
                memory(peer, python, to)
        except NotRun as why:
            print(f"{peer.name}: not run: {why}", flush=True)


def timed(peer: Peer, python: Path, frames: int, runs: int) -> None:
    """How long does a restored megapixel take, after start-up, and how long its network alone?

    A stack of one tile tells what each call costs before its first pixels; that this tile is one of many more is left out of account.

    Raises:
        NotRun: it failed.
    """
    report, _ = driven(peer, python, peer.to[0], frames, runs)
    each = report["rounds"]
    after = [one["long"] - one["short"] for one in each]
    per_mpx = statistics.median(after) / (frames * OUT_PX**2 / 1e6)
    of_bare = [[s / one[way] for s, one in zip(after, each, strict=True)] for way in ("tiles", "whole")]
    tiles, whole = (statistics.median(ratios) for ratios in of_bare)
    name = f"{peer.name}, {report['parameters'] / 1e6:.2f} million weights, to {peer.to[0]}"
    print(f"{name:<58}{per_mpx:>10.3f}{tiles:>21.2f}{whole:>23.2f}", flush=True)


def memory(peer: Peer, python: Path, to: str) -> None:
    """How much memory does it need for a stack of 80 MB?

    Raises:
        NotRun: it failed.
    """
    _, done = driven(peer, python, to, PEAK_FRAMES, runs=0)
    megabytes = PEAK_FRAMES * OUT_PX**2 / 1e6
    name = f"{peer.name}, {PEAK_FRAMES} frames ({megabytes:.0f} MB restored), to {to}"
    print(f"{name:<58}   peak {done.peak_mb:.0f} MB", flush=True)


def driven(peer: Peer, python: Path, to: str, frames: int, runs: int) -> tuple[dict, Done]:
    """What does a driver say of its program, and what did its process take?

    Args:
        peer: the program.
        python: of its environment.
        to: where results go, `disk` or `memory`.
        frames: of the long stack; the short one has one frame as large as a tile.
        runs: rounds; 0 restores the long stack once and times nothing.

    Raises:
        NotRun: it failed.
    """
    clean = dict(os.environ)
    clean.pop("PYTHONPATH", None)  # two packages are called pssr
    settings = {"to": to, "frames": frames, "runs": runs, "side_px": peer.side_px, "tile_px": peer.tile_px,
                "overlap_px": peer.overlap_px}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "settings.json").write_text(json.dumps(settings))
        shapes = {"short": (1, peer.tile_px, peer.tile_px), "long": (frames, peer.side_px, peer.side_px)}
        for stack, shape in shapes.items():
            (folder / stack).mkdir()
            counts = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
            tifffile.imwrite(
                folder / stack / "sheet.tif", counts, photometric="minisblack", metadata={"axes": "TYX"}
            )
        try:
            done = launched([python, Path(__file__).with_name(peer.driver), folder], clean)
        except RuntimeError as error:
            said = str(error).splitlines()
            why = next((line for line in reversed(said) if "Error" in line), said[-1])
            raise NotRun(f"to {to}: {why}") from error
        return json.loads((folder / "report.json").read_text()), done


def environment(folder: Path, installs: tuple[tuple[str, ...], ...]) -> Path:
    """Which Python has the program? Installed at the first call.

    Raises:
        NotRun: pip refused.
    """
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    commands = [[sys.executable, "-m", "venv", folder]]
    commands += [
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
        for words in installs
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr]
            raise NotRun(f"`{' '.join(map(str, command[1:]))}` failed: {said[0].strip()}")
    (folder / "ready").touch()
    return python

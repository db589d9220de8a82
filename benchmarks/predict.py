"""What does everything around the network cost in prediction, in time and in memory, and what does it cost elsewhere?

`python benchmarks/predict.py [--runs 3] [--frames 40] [--no-peers] [--envs DIR]`, on the CPU. The command `pssr predict`, from TIFF or
CZI to OME-TIFF, restores a short and a long stack of the same frames: what lies between them is the time after start-up. The bare
network takes whole frames of the same size in between, in the precision that the output file names and with as many threads.
Ratios are those of the middle round, since rounds beside each other had the same weather. Peak memory is that of the command's
process. Then the same is asked of PSSR2 and CAREamics, see predict_peers.py. Weights are not trained: that changes no time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile
import torch
from pylibCZIrw import czi

from peak import Done, launched
from predict_peers import peers
from pssr.config import preset
from pssr.model_file import Model, save
from pssr.networks import Generator, network

SHORT = 2  # frames of the stack that measures start-up
LARGE = (
    2048  # pixels along a side of the frames that --frames counts; of smaller ones there are as many pixels
)
LENGTHS = (20, 200)  # frames of the stacks whose peak memory is compared
PEER_FRAMES = 2
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Bench:
    """What all questions share.

    Args:
        folder: for models and movies.
        net: the network that the model file holds.
        scale: of its output.
        runs: rounds.
    """

    folder: Path
    net: Generator
    scale: int
    runs: int

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / "model.safetensors"

    def restore(self, source: Path) -> Done:
        """What does the command take for this file?"""
        words = ["predict", self.model, source, "-o", self.restored, "--device", "cpu", "--overwrite"]
        return launched([sys.executable, "-m", "pssr", *words])

    @property
    def restored(self) -> Path:
        """What the command writes."""
        return self.folder / "restored.ome.tif"


def main() -> None:
    """Print the tables."""
    asked = _arguments()
    config = preset("movie")
    net = network(config.network, frames=config.frames, scale=config.scale)
    net = net.to(memory_format=torch.channels_last).eval()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), net, config.scale, asked.runs)
        save(Model(config, net.state_dict(), (0.0, 1.0), sources=(), steps=0, scores={}), bench.model)
        print(f"{config.network}, {config.frames} frames, scale {config.scale}, {torch.get_num_threads()} threads, "
              f"medians of {asked.runs}\n")  # fmt: skip
        heads = ("Mpx / s", "bare Mpx / s", "of bare", "lowest", "highest")
        print(f"{'`pssr predict`':<52}" + "".join(f"{head:>14}" for head in heads))
        for out_px, ending in ((512, ".ome.tif"), (LARGE, ".ome.tif"), (LARGE, ".czi")):
            speed(bench, out_px, max(1, asked.frames * LARGE**2 // out_px**2), ending)
        print(
            f"\n{'`pssr predict`':<52}" + "".join(f"{f'MB, T = {t}':>14}" for t in LENGTHS) + f"{'ratio':>14}"
        )
        for low_px in (256, 512):
            memory(bench, low_px)
    if not asked.no_peers:
        peers(asked.envs.absolute(), PEER_FRAMES, asked.runs)


def speed(bench: Bench, out_px: int, frames: int, ending: str) -> None:
    """How many output pixels a second does the command give, beside the bare network?

    Args:
        bench: what all questions share.
        out_px: along a side of a restored frame.
        frames: that the long stack has more than the short one.
        ending: of the files to restore.
    """
    low_px = out_px // bench.scale
    short, long = (movie(bench.folder, length, low_px, ending) for length in (SHORT, SHORT + frames))
    bench.restore(short)  # fills the disk cache, and says the precision
    before, after = frames // 2, frames - frames // 2
    bare(bench.net, low_px, 1, precision(bench.restored))  # warms up
    rates: list[tuple[float, float]] = []
    for _ in range(bench.runs):
        named = precision(bench.restored)
        bare_s = bare(bench.net, low_px, before, named) if before else 0.0
        command_s = bench.restore(long).seconds
        if precision(bench.restored) != named:
            print(f"the command changed its precision from {named} to {precision(bench.restored)}")
        bare_s += bare(bench.net, low_px, after, named)
        command_s -= bench.restore(short).seconds
        pixels = frames * out_px**2 / 1e6
        rates.append((pixels / command_s, pixels / bare_s))
    ours, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    ratios = [mine / base for mine, base in rates]
    name = f"{frames} frames of {out_px} px out, {ending[1:]}, {precision(bench.restored)}"
    figures = (ours, theirs, statistics.median(ratios), min(ratios), max(ratios))
    print(f"{name:<52}" + "".join(f"{figure:>14.3f}" for figure in figures), flush=True)


def bare(net: Generator, low_px: int, frames: int, named: str) -> float:
    """How many seconds does the network alone need for so many whole frames?

    Args:
        net: in evaluation mode, channels last.
        low_px: along a side of its input.
        frames: how many.
        named: its precision.
    """
    dtype = DTYPES[named]
    bundle = torch.rand(1, net.frames, low_px, low_px).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        start = time.perf_counter()
        for _ in range(frames):
            net(bundle)
        return time.perf_counter() - start


def memory(bench: Bench, low_px: int) -> None:
    """Does peak memory grow with the length of the stack?

    Args:
        bench: what all questions share.
        low_px: along a side of a low-resolution frame.
    """
    sources = [movie(bench.folder, length, low_px, ".ome.tif") for length in LENGTHS]
    peaks: list[list[float]] = [[] for _ in sources]
    for _ in range(bench.runs):
        for source, found in zip(sources, peaks, strict=True):
            found.append(bench.restore(source).peak_mb)
    few, many = (statistics.median(found) for found in peaks)
    print(
        f"{f'{low_px} px in, {low_px * bench.scale} px out':<52}{few:>14.0f}{many:>14.0f}{many / few:>14.3f}",
        flush=True,
    )


def precision(path: Path) -> str:
    """In which precision was this file restored? Its provenance says so.

    Raises:
        KeyError: it does not.
    """
    with tifffile.TiffFile(path) as tif:
        root = ElementTree.fromstring(tif.ome_metadata or "")
    words = {m.get("K"): m.text for m in root.iter() if m.tag.endswith("}M")}
    return words["precision"] or ""


def movie(folder: Path, frames: int, side_px: int, ending: str) -> Path:
    """Counts such as a microscope gives: a smooth scene with shot noise. The same file if it is asked for again.

    Args:
        folder: to write it in.
        frames: how many.
        side_px: of each.
        ending: of its name, `.ome.tif` or `.czi`.
    """
    path = folder / f"{frames}x{side_px}{ending}"
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side_px, :side_px] * (12 / side_px)
    noisy = rng.poisson(400 + 200 * np.sin(x) * np.cos(y), (8, side_px, side_px)).astype(np.uint16)
    planes = (np.roll(noisy[t % 8], t, axis=1) for t in range(frames))
    if ending == ".czi":
        with czi.create_czi(str(path)) as out:
            for t, plane in enumerate(planes):
                out.write(plane[..., None], plane={"T": t, "C": 0, "Z": 0})
        return path
    shape = (frames, side_px, side_px)
    tifffile.imwrite(
        path, planes, shape=shape, dtype="u2", photometric="minisblack", metadata={"axes": "TYX"}
    )
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds; the middle one is printed")
    parser.add_argument("--frames", type=int, default=40, help=f"of {LARGE} px in the long stack")
    parser.add_argument("--no-peers", action="store_true", help="leave PSSR2 and CAREamics out")
    parser.add_argument("--envs", type=Path, default=Path(tempfile.gettempdir()) / "pssr-peers",
                        help="folder of the peers' environments")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""PSSR2 2.4.0 trained and used through its public interface, in its own environment; started by pssr2.py.

`python pssr2_driver.py FOLDER`: FOLDER/settings.json says how, FOLDER/good holds 8-bit TIFFs to learn from, FOLDER/low those to
restore. FOLDER/restored.npy and FOLDER/report.json are written.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import numpy as np


def stand_in() -> None:
    """Let PSSR2 be imported without timm, which needs torchvision: its ResUNet uses neither."""
    names = {
        "timm": (),
        "timm.layers": ("DropPath", "LayerNorm2d", "EffectiveSEModule", "to_2tuple", "trunc_normal_"),
        "timm.models": ("named_apply",),
    }
    for name, parts in names.items():
        sys.modules[name] = module = ModuleType(name)
        for part in parts:
            setattr(module, part, type(part, (), {}))


stand_in()

import torch  # noqa: E402
from pssr.crappifiers import AdditiveGaussian, Crappifier, MultiCrappifier, Poisson  # noqa: E402
from pssr.models import ResUNet  # noqa: E402
from pssr.train import train_paired  # noqa: E402
from pssr.util import SSIMLoss  # noqa: E402

from pssr.data import ImageDataset  # noqa: E402
from pssr.predict import predict_images  # noqa: E402

LR, GAMMA, EPOCHS = 1e-3, 0.7, 10  # PSSR2's defaults: the rate falls to 0.7 ** 10 of the first


class OutOfTime(Exception):
    """The seconds are over."""


class Clock:
    """Counts steps and CPU seconds, spreads PSSR2's schedule over them, and ends the training."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.start, self.steps = seconds, time.process_time(), 0

    def __call__(self, known: dict) -> None:
        """After each step, with the local names of `train_paired`."""
        self.steps += 1
        share = (time.process_time() - self.start) / self.seconds
        if share >= 1:
            raise OutOfTime
        for group in known["optim"].param_groups:
            group["lr"] = LR * GAMMA ** (EPOCHS * share)


def noise(settings: dict) -> Crappifier:
    """PSSR2's default, or its shot and read noise as strong as in the test."""
    if settings["crappifier"] == "default":
        return Poisson()
    return MultiCrappifier(Poisson(**settings["poisson"]), AdditiveGaussian(**settings["gaussian"]))


def main(folder: Path) -> None:
    """Train, restore, write."""
    settings = json.loads((folder / "settings.json").read_text())
    frames, seed = settings["frames"], settings["seed"]
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    model = ResUNet(channels=[frames, 1])
    stacked = {"n_frames": [frames, 1], "split_seed": None}
    # At least one file is held back for its validation after each epoch.
    good = ImageDataset(
        folder / "good",
        hr_res=settings["size_px"],
        lr_scale=4,
        crappifier=noise(settings),
        val_split=0,
        **stacked,
    )
    optim, clock = torch.optim.AdamW(model.parameters(), lr=LR), Clock(settings["seconds"])
    with suppress(OutOfTime):
        train_paired(
            model,
            good,
            settings["batch"],
            SSIMLoss(),
            optim,
            epochs=10**6,
            callbacks=[clock],
            log_frequency=10**9,
        )
    cpu_s = time.process_time() - clock.start
    low = ImageDataset(folder / "low", hr_res=settings["size_px"] // 4, lr_scale=-1, val_split=1, **stacked)
    restored = predict_images(model, low, batch_size=4, out_dir=None)
    np.save(folder / "restored.npy", np.stack([restored[name][-1] for name in sorted(restored)]))
    size = sum(p.numel() for p in model.parameters())
    report = {"steps": clock.steps, "cpu_s": cpu_s, "images": len(good), "parameters": size}
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""CAREamics trained for one step and used through its public interface, in its own environment; started by predict_peers.py.

`python careamics_driver.py FOLDER`: FOLDER/settings.json says how; FOLDER/short and FOLDER/long hold one 8-bit TIFF each. What was
measured goes to FOLDER/report.json.
"""

import json
import shutil
import sys
import warnings
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import lightning.pytorch  # noqa: F401
import numpy as np

PATCH = 64


def stand_in() -> None:
    """Let CAREamics be imported without torchvision: its plain networks do not use it.

    Called when lightning is imported, which would take the stand-in for the real one.
    """
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        module = sys.modules[name] = ModuleType(name)
        module.__spec__, module.__path__, module.__version__ = ModuleSpec(name, None), [], "0"
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)


stand_in()

from careamics import CAREamist  # noqa: E402
from careamics.config import create_n2v_config  # noqa: E402

from predict_timing import rounds  # noqa: E402


def trained(folder: Path) -> CAREamist:
    """Its default network after one step: what it costs does not depend on what it learned."""
    config = create_n2v_config(
        experiment_name="speed",
        data_type="array",
        axes="SYX",
        patch_size=(PATCH, PATCH),
        batch_size=1,
        num_epochs=1,
        num_steps=1,
    )
    careamist = CAREamist(config, work_dir=folder / "work", enable_progress_bar=False)
    noise = np.random.default_rng(0).integers(0, 255, (2, PATCH, PATCH)).astype(np.float32)
    careamist.train(train_data=noise, val_data=noise)
    return careamist


def main(folder: Path) -> None:
    """Train, predict, write what it took."""
    warnings.simplefilter("ignore")
    settings = json.loads((folder / "settings.json").read_text())
    careamist = trained(folder)
    tiled = {"tile_size": (settings["tile_px"],) * 2, "tile_overlap": (settings["overlap_px"],) * 2}
    read = {"axes": "SYX", "data_type": "tiff", "batch_size": 1}

    def to_disk(name: str) -> None:
        shutil.rmtree(folder / "out", ignore_errors=True)  # it replaces no file
        careamist.predict_to_disk(folder / name / "sheet.tif", prediction_dir=folder / "out", **tiled, **read)

    def to_memory(name: str) -> None:
        # Its loader's processes hand over so many open files that a system refuses more.
        careamist.predict(folder / name / "sheet.tif", num_workers=0, **tiled, **read)

    way = {"disk": to_disk, "memory": to_memory}[settings["to"]]
    net, side = careamist.model.model, settings["side_px"]
    report: dict[str, object] = {"parameters": sum(p.numel() for p in net.parameters())}
    if settings["runs"]:
        whole = Counter({(1, 1, side, side): settings["frames"]})
        report["rounds"] = rounds(net, way, whole, settings["runs"])
    else:
        way("long")
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

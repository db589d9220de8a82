"""PSSR2 used for prediction through its public interface, in its own environment; started by predict_peers.py.

`python pssr2_predict_driver.py FOLDER`: FOLDER/settings.json says how; FOLDER/short and FOLDER/long hold one 8-bit TIFF each. What was
measured goes to FOLDER/report.json. Its weights are not trained: what they cost does not depend on what they learned.
"""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

from pssr2_driver import ResUNet, predict_images  # first: it lets PSSR2 be imported

# isort: split
from pssr.util import reassemble_sheets

from predict_timing import rounds
from pssr.data import SlidingDataset

SCALE = 4


def main(folder: Path) -> None:
    """Predict, write what it took."""
    settings = json.loads((folder / "settings.json").read_text())
    overlap, side = settings["overlap_px"], settings["side_px"]
    net = ResUNet(channels=[1, 1])

    def predict(name: str) -> None:
        for made in ("tiles", "sheets"):
            shutil.rmtree(folder / made, ignore_errors=True)
        low = SlidingDataset(
            folder / name,
            hr_res=settings["tile_px"],
            lr_scale=-1,
            overlap=overlap,
            n_frames=[1, 1],
            val_split=1,
        )
        predict_images(net, low, out_dir=str(folder / "tiles"))
        reassemble_sheets(
            str(folder / "tiles"), str(folder / name), SCALE, overlap=overlap, out_dir=str(folder / "sheets")
        )

    report: dict[str, object] = {"parameters": sum(p.numel() for p in net.parameters())}
    if settings["runs"]:
        whole = Counter({(1, 1, side, side): settings["frames"]})
        report["rounds"] = rounds(net, predict, whole, settings["runs"])
    else:
        predict("long")
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

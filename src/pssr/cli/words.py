"""What the package says in Python's words, in those of the command line."""

import re

CHOICES = ("scene", "axes", "series", "phase", "missing", "channel", "scale", "frames", "seed")
FLAGS = {"overwrite=True (--overwrite)": "--overwrite"}
SETTINGS = ("ends", "loss", "crappifier", "network", "train", "data")


def as_options(text: str) -> str:
    """`axes=ZYX` becomes `--axes ZYX`, and `train.lr=1e-4` becomes `--set train.lr=1e-4`."""
    for python, option in FLAGS.items():
        text = text.replace(python, option)
    text = re.sub(rf"(?<![\w-])({'|'.join(CHOICES)})=(?=[\w'\"])", r"--\1 ", text)
    return re.sub(rf"(?<![\w-])(?<!--set )((?:{'|'.join(SETTINGS)})(?:\.\w+)*=)", r"--set \1", text)

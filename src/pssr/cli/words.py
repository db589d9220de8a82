"""What the package says in Python's words, in those of the command line."""

import re

CHOICES = (
    "scene",
    "axes",
    "series",
    "phase",
    "missing",
    "channel",
    "dark",
    "preset",
    "scale",
    "frames",
    "seed",
)
FLAGS = {
    "overwrite=True (--overwrite)": "--overwrite",
    "align=True (--register)": "--register",
    "restart=True (--restart)": "--restart",
}
# Where a word begins, and no path.
BEGINS, NO_PATH = r"(?<![^\s('\"`])", r"(?!\S*[/\\])"
SETTINGS = ("ends", "loss", "crappifier", "network", "train", "data")


def as_options(text: str) -> str:
    """`axes=ZYX` becomes `--axes ZYX`, and `train.lr=1e-4` becomes `--set train.lr=1e-4`; what is before a colon stays."""
    what, colon, text = text.partition(": ") if ": " in text else ("", "", text)
    for python, option in FLAGS.items():
        text = text.replace(python, option)
    text = re.sub(rf"{BEGINS}trust=\['([\w.]+)'\]", r"--trust \1", text)
    text = re.sub(rf"{BEGINS}{NO_PATH}({'|'.join(CHOICES)})=(?=[\w'\"])", r"--\1 ", text)
    text = re.sub(rf"{BEGINS}{NO_PATH}(?<!--set )((?:{'|'.join(SETTINGS)})(?:\.\w+)*=)", r"--set \1", text)
    return what + colon + text

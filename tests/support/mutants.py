"""Read many damaged copies of one file; run as a program, since a copy may end the interpreter.

`python mutants.py FILE FIRST COUNT FOLDER` prints the number of each copy and what became of it.
"""

import itertools
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import tifffile

from pssr.errors import PssrError
from pssr.io.open import open_stack


def structure(path: Path, content: bytes) -> list[int]:
    """Where damage does most harm: heads of segments and page directories."""
    if content.startswith(b"ZISRAW"):
        return [at for at in range(0, len(content) - 16, 32) if content.startswith(b"ZISRAW", at)]
    with tifffile.TiffFile(path) as tif:
        return [0, *(page.offset for page in tif.pages)]


def read_all(path: Path) -> None:
    stack = open_stack(path)
    for t, c, z in itertools.product(*(range(stack.sizes[axis]) for axis in "TCZ")):
        stack.plane(T=t, C=c, Z=z)


def main(source: Path, first: int, count: int, folder: Path) -> None:
    # What is imported when it is first needed is no fault of a file.
    (folder / "unknown.bin").write_bytes(b"?" * 64)
    with suppress(PssrError):
        open_stack(folder / "unknown.bin")
    content = source.read_bytes()
    marks = structure(source, content)
    for number in range(first, first + count):
        rng, mutant = np.random.default_rng(number), bytearray(content)
        for _ in range(rng.integers(1, 4)):
            near = int(rng.choice(marks)) + int(rng.integers(0, 300))
            at = near if rng.random() < 0.7 else int(rng.integers(0, len(mutant)))
            mutant[at % len(mutant)] = rng.integers(0, 256)
        copy = folder / f"{number}{source.suffix}"
        copy.write_bytes(mutant)
        print(number, end=" ", flush=True)
        start = time.perf_counter()
        try:
            read_all(copy)
            outcome = "read"
        except PssrError as error:
            outcome = "refused" if copy.name in str(error) else "refused-without-name"
        print(outcome if time.perf_counter() - start < 10 else "slow", flush=True)
        copy.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))

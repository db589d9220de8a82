from pathlib import Path

import numpy as np
import pytest

from pssr.errors import ReadError
from pssr.io.open import open_stack
from pssr.io.write import StackWriter

PLANE = np.random.default_rng(0).poisson(500, (64, 64)).astype(np.uint16)


@pytest.mark.parametrize("compression", ["zstd", "deflate"])
def test_a_changed_byte_in_a_chunk_is_an_error_or_harmless(tmp_path: Path, compression):
    path, sizes = tmp_path / "a.zarr", {"T": 1, "C": 1, "Z": 1, "Y": 64, "X": 64}
    with StackWriter(path, sizes=sizes, dtype=np.uint16, channels=["a"], compression=compression) as out:
        out.write(PLANE)
    stack, chunk = open_stack(path), path / "0/c/0/0/0/0/0"
    whole = chunk.read_bytes()
    errors, rng = 0, np.random.default_rng(1)
    for at in rng.integers(0, len(whole), 60):
        changed = whole[at] ^ (1 << int(rng.integers(8)))
        chunk.write_bytes(whole[:at] + bytes([changed]) + whole[at + 1 :])
        try:
            np.testing.assert_array_equal(stack.plane(), PLANE)
        except ReadError:
            errors += 1
    assert errors > 55

"""SIGKILL at any moment of a restoration: nothing half under the final name, and the same pixels in the end."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from pssr.io.open import open_stack
from pssr.io.write import StackWriter

KILLS, FRAMES = 10, 40
# One process that has imported torch and forks the restorations: starting each anew would take seconds.
PROGRAM = textwrap.dedent(f"""
    import json, os, random, signal, sys, time
    from pathlib import Path
    import torch
    from pssr.io.open import open_stack
    from pssr.predict.events import Noted
    from pssr.predict.predictor import Predictor

    torch.set_num_threads(1)
    run, source, once, killed = map(Path, sys.argv[1:])
    predictor = Predictor.load(run, device="cpu", precision="fp32")
    compression = "deflate" if killed.suffix == ".tif" else None

    def started(target, said):
        child = os.fork()
        if child == 0:
            try:
                with open(said, "w") as file:
                    for event in predictor.steps(source, target, compression=compression):
                        if isinstance(event, Noted):
                            print(event.message, file=file, flush=True)
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                os._exit(1)
        return child

    begun = time.monotonic()
    assert os.waitpid(started(once, os.devnull), 0)[1] == 0
    whole_s = time.monotonic() - begun
    draw, told = random.Random(int.from_bytes(os.urandom(4))), []
    log = killed.with_name(killed.name + ".part.log")
    for number in range({KILLS}):
        said = killed.with_name("said")
        said.unlink(missing_ok=True)
        child = started(killed, said)
        lines = log.read_bytes().count(b"\\n") if log.exists() else 0
        # At the beginning, or while planes are being written: a few of them each time.
        if number:
            end = time.monotonic() + 30
            while (log.read_bytes().count(b"\\n") if log.exists() else 0) < lines + draw.randint(1, 3):
                if time.monotonic() > end or os.waitpid(child, os.WNOHANG)[0]:
                    break
        time.sleep(draw.uniform(0, whole_s / {FRAMES}))
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            # It was faster.
            pass
        if killed.exists():
            assert open_stack(killed).sizes["T"] == {FRAMES}
            break
        told.append(said.read_text().strip() if said.exists() else "")
    said = killed.with_name("said")
    if not killed.exists():
        assert os.waitpid(started(killed, said), 0)[1] == 0
        told.append(said.read_text().strip())
    said.unlink()
    print(json.dumps(told))
""")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_ten_kills_change_no_pixel(run_folder, good_movie, tmp_path: Path, ending):
    source = tmp_path / "low.ome.tif"
    sizes = {"T": FRAMES, "C": 1, "Z": 1, "Y": 48, "X": 48}
    with StackWriter(source, sizes=sizes, dtype=np.uint16, channels=["mito"]) as writer:
        for t in range(FRAMES):
            writer.write(np.ascontiguousarray(good_movie[t % len(good_movie), ::2, ::2]), T=t)
    once, killed = tmp_path / f"once{ending}", tmp_path / f"killed{ending}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(run_folder), str(source), str(once), str(killed)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # Those that were killed before they said anything know nothing.
    kept = [int(line.split()[2]) for line in told if line]
    assert kept == sorted(kept)
    assert kept[-1] > 0
    for one, two in zip(open_stack(once).movie(), open_stack(killed).movie(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, once.name, killed.name])

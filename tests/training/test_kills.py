"""SIGKILL at any moment: what is in the folder loads, and the training that goes on ends as if nothing had happened."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from small_runs import losses

from pssr.model_file import load

KILLS = 10
# One process that has imported torch and forks the trainings: starting each anew would take seconds.
PROGRAM = textwrap.dedent(f"""
    import json, os, random, signal, sys, time
    from pathlib import Path
    sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
    import torch
    from small_runs import config, movie
    from pssr.model_file import load
    from pssr.training.checkpoint import digest
    from pssr.training.fit import fit

    settings, given = config(train__steps=120, train__save_every_s=1e-9, train__validate_every=40), [movie(side=32)]

    def started(folder):
        child = os.fork()
        if child == 0:
            try:
                for _ in fit(settings, given, folder):
                    pass
                os._exit(0)
            except BaseException as error:
                print(error, file=sys.stderr)
                os._exit(1)
        return child

    def in_a_save(folder, child):
        '''Wait until a file is half written.'''
        end = time.monotonic() + 60
        while time.monotonic() < end and os.waitpid(child, os.WNOHANG)[0] == 0:
            if (folder / "state.new.pt.part").exists() or (folder / "model.safetensors.part").exists():
                return True
        return False

    def loads(folder):
        '''Everything under its final name.'''
        for path in folder.glob("state*.pt"):
            state = torch.load(path, weights_only=True)
            assert state.pop("sha256") == digest(state), path
        if (folder / "model.safetensors").exists():
            load(folder)

    def spoil(path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    torch.set_num_threads(1)
    whole, killed = map(Path, sys.argv[1:])
    assert os.waitpid(started(whole), 0)[1] == 0
    draw, told = random.Random(int.from_bytes(os.urandom(4))), []
    for number in range({KILLS}):
        child = started(killed)
        if number % 2:
            saving = in_a_save(killed, child)
        else:
            time.sleep(draw.uniform(0.1, 1.5))
            saving = False
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        loads(killed)
        step = torch.load(killed / "state.pt", weights_only=True)["step"] if (killed / "state.pt").exists() else 0
        half = bool(list(killed.glob("*.part")))
        if number in (3, 6) and (killed / "state.before.pt").exists():
            spoil(killed / "state.pt")
        told.append([step, saving and half])
    assert os.waitpid(started(killed), 0)[1] == 0
    print(json.dumps(told))
""")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_ten_kills_and_two_damaged_states_change_no_bit(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, whole, killed], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    moments = json.loads(found.stdout.splitlines()[-1])
    assert len(moments) == KILLS
    # Some fell into a write, and not all before or after the training.
    assert sum(half for _, half in moments) >= 3, moments
    assert any(0 < step < 120 for step, _ in moments), moments
    assert losses(killed) == losses(whole)
    a, b = (load(run).weights for run in (whole, killed))
    assert all(torch.equal(a[key], b[key]) for key in a)
    state, other = (torch.load(run / "state.pt", weights_only=True) for run in (whole, killed))
    assert all(torch.equal(state["net"][key], other["net"][key]) for key in state["net"])
    notes = [json.loads(line).get("note", "") for line in (killed / "log.jsonl").read_text().splitlines()]
    assert all("damaged" in note for note in notes if note)

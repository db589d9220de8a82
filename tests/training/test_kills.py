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

    settings, given = config(train__steps=200, train__save_every_s=1e-9, train__validate_every=40), [movie(side=32)]

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

    def mark(path):
        '''Of a file that was written anew; None for none.'''
        try:
            about = path.stat()
            return about.st_ino, about.st_mtime_ns
        except FileNotFoundError:
            return None

    def written(child, paths, times):
        '''Wait until one of some files is written anew so many times.'''
        before, end = [mark(path) for path in paths], time.monotonic() + 60
        while times and time.monotonic() < end and os.waitpid(child, os.WNOHANG)[0] == 0:
            now = [mark(path) for path in paths]
            if any(one not in (None, old) for one, old in zip(now, before)):
                before, times = now, times - 1
        return times == 0

    def loads(folder, spoiled):
        '''Everything under its final name, but what was spoiled here.'''
        for path in folder.glob("state*.pt"):
            if path.read_bytes() == spoiled:
                continue
            state = torch.load(path, weights_only=True)
            assert state.pop("sha256") == digest(state), path
        if (folder / "model.safetensors").exists():
            load(folder)

    def spoil(path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        return bytes(content)

    torch.set_num_threads(1)
    whole, killed = map(Path, sys.argv[1:])
    assert os.waitpid(started(whole), 0)[1] == 0
    draw, told, spoiled = random.Random(int.from_bytes(os.urandom(4))), [], None
    parts = [killed / "state.new.pt.part", killed / "model.safetensors.part"]
    for number in range({KILLS}):
        child, saving = started(killed), False
        if number == 0:
            # Perhaps before anything is there.
            time.sleep(draw.uniform(0.0, 1.0))
        elif number % 2:
            saving = written(child, parts, draw.randint(1, 8))
        else:
            written(child, [killed / "state.pt"], draw.randint(1, 4))
            time.sleep(draw.uniform(0.0, 0.3))
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            # It was faster.
            pass
        loads(killed, spoiled)
        states = list(killed.glob("state*.pt"))
        steps = [torch.load(path, weights_only=True)["step"] for path in states if path.read_bytes() != spoiled]
        half = any(part.exists() for part in parts)
        if number in (3, 6) and (killed / "state.before.pt").exists() and (killed / "state.pt").exists():
            spoiled = spoil(killed / "state.pt")
        told.append([max(steps, default=0), saving and half])
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
    assert len({step for step, _ in moments if 0 < step < 200}) >= 3, moments
    assert losses(killed) == losses(whole)
    a, b = (load(run).weights for run in (whole, killed))
    assert all(torch.equal(a[key], b[key]) for key in a)
    state, other = (torch.load(run / "state.pt", weights_only=True) for run in (whole, killed))
    assert all(torch.equal(state["net"][key], other["net"][key]) for key in state["net"])
    notes = [json.loads(line).get("note", "") for line in (killed / "log.jsonl").read_text().splitlines()]
    assert all("damaged" in note for note in notes if note)

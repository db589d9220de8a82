import subprocess
import sys


def test_the_package_is_the_command():
    said = subprocess.run(
        [sys.executable, "-m", "pssr", "--help"], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert "Usage: pssr" in said.stdout


def test_its_exit_codes_are_those_of_the_command():
    said = subprocess.run(
        [sys.executable, "-m", "pssr", "config", "moovie"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "did you mean 'movie'?" in said.stderr

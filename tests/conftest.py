import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from pssr.simulate import tubules

# Examples are timed by benchmarks, not by tests on a machine that is busy.
settings.register_profile("pssr", deadline=None)
settings.load_profile("pssr")


def pytest_configure() -> None:
    """A shell that starts tests in the background makes them ignore Ctrl-C, which some of them are about."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real microscopy files; they are not part of the project."""
    named = os.environ.get("PSSR_TEST_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    reason = f"PSSR_TEST_DATA={named!r} is not a folder of real microscopy files"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    return pytest.skip(reason)


@pytest.fixture(scope="session")
def good_movie() -> np.ndarray:
    """A movie of tubules as counts: (30, 96, 96), uint16."""
    return np.rint(200 + 3000 * tubules(frames=30, size_px=96, seed=5).frames).astype(np.uint16)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, good_movie: np.ndarray) -> Path:
    """A small network trained for a few seconds: scale 2, three frames."""
    # Imported here: most tests need no torch.
    from pssr.config import preset
    from pssr.training.fit import fit

    small = {"scale": 2, "network.edsr": {"width": 12, "blocks": 2}, "data.patch_px": 48, "data.batch": 4}
    config = preset("movie").changed(small | {"train.steps": 150, "train.precision": "fp32"})
    folder = tmp_path_factory.mktemp("trained") / "mito"
    list(fit(config, [good_movie], folder))
    return folder

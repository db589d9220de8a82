import os
from pathlib import Path

import pytest


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

import os
import threading
import time
from pathlib import Path

import pytest

from pssr.io.replace import remove


def test_a_folder_that_threads_still_write_into_is_removed(tmp_path: Path):
    """Zarr's other threads go on for a moment after the error of one."""
    folder, end = tmp_path / "a.zarr.part", time.monotonic() + 0.2

    def write(number: int) -> None:
        while time.monotonic() < end:
            try:
                folder.mkdir(exist_ok=True)
                (folder / f"{number}.partial").write_text("chunk")
                (folder / f"{number}.partial").rename(folder / f"{number}")
            except OSError:
                continue

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    while not folder.exists():
        time.sleep(0.001)
    remove(folder)
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_what_may_not_be_removed_is_an_error(tmp_path: Path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/file").write_text("words")
    (tmp_path / "inside").chmod(0o500)
    with pytest.raises(PermissionError):
        remove(tmp_path / "inside")
    (tmp_path / "inside").chmod(0o700)


def test_what_is_not_there_needs_no_removing(tmp_path: Path):
    remove(tmp_path / "nothing")
    (tmp_path / "link").symlink_to(tmp_path)
    remove(tmp_path / "link")
    assert list(tmp_path.iterdir()) == []

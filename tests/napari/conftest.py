"""A real viewer on a screen in memory."""

import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before Qt is imported by anything.
os.environ.setdefault("NAPARI_CONFIG", "")
SECONDS = 60.0


@pytest.fixture(scope="session", autouse=True)
def screen() -> Iterator[None]:
    """An X server for this process; Qt's own `offscreen` has no OpenGL."""
    if not sys.platform.startswith("linux"):
        yield
        return
    if shutil.which("Xvfb") is None:
        reason = "Xvfb is not installed, and a viewer needs a screen"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1100x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as said:
        number = said.readline().strip()
    assert number, "Xvfb did not start"
    before = os.environ.get("DISPLAY")
    os.environ["DISPLAY"] = f":{number}"
    yield
    os.environ.pop("DISPLAY")
    if before is not None:
        os.environ["DISPLAY"] = before
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def application(screen, tmp_path_factory: pytest.TempPathFactory):
    """The one Qt application of the process, with settings of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from napari.qt import get_qapp
        from qtpy.QtCore import QSettings

        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(
            QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path_factory.mktemp("settings"))
        )
        return get_qapp()


@pytest.fixture(autouse=True)
def slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What goes wrong in a slot fails the test; PyQt6 would end the process, and PySide6 would print it."""
    wrong: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: wrong.append(error))
    yield
    if wrong:
        raise wrong[0]


@pytest.fixture
def make_viewer(application) -> Iterator[Callable]:
    """Viewers that are closed at the end, when nothing of ours may go on."""
    import napari

    opened = []

    def make(**words):
        viewer = napari.Viewer(show=True, **words)
        viewer.window._qt_window.resize(1500, 1000)
        opened.append(viewer)
        application.processEvents()
        return viewer

    yield make
    for viewer in opened:
        if viewer in napari.Viewer._instances:
            viewer.close()
    until(lambda: not ours(), application)


@pytest.fixture
def viewer(make_viewer):
    """One viewer."""
    return make_viewer()


def ours() -> list[threading.Thread]:
    """Threads of work that go on."""
    return [thread for thread in threading.enumerate() if thread.name == "pssr"]


def until(true: Callable[[], object], application=None, seconds: float = SECONDS) -> None:
    """Let the window live until something is true."""
    from qtpy.QtWidgets import QApplication

    application = application or QApplication.instance()
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        live(application)
        time.sleep(0.005)
    live(application)


def live(application) -> None:
    """What a running window does between two events of a person."""
    from qtpy.QtCore import QEvent

    application.processEvents()
    # A loop that is not `exec` leaves these.
    application.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture(name="ours")
def threads_of_ours() -> Callable:
    """`ours()` lists threads of work that go on."""
    return ours


@pytest.fixture
def wait(application) -> Callable:
    """`wait(lambda: ...)` lets the window live until it is true."""
    return until


@pytest.fixture
def settle(application) -> Callable:
    """`settle(preview)` lets the window live until a live preview has had nothing to do for half a second."""

    def rested(preview) -> None:
        since = time.monotonic()

        def idle() -> bool:
            nonlocal since
            if preview.layer is None or preview._latest.busy:
                since = time.monotonic()
            return time.monotonic() - since > 0.5

        until(idle, application)

    return rested


@pytest.fixture
def said(application) -> Iterator[list]:
    """Notifications of napari, as (severity, sentence)."""
    from napari.utils.notifications import notification_manager

    heard: list[tuple[str, str]] = []

    def hear(event) -> None:
        heard.append((str(event.severity), event.message))

    notification_manager.notification_ready.connect(hear)
    yield heard
    notification_manager.notification_ready.disconnect(hear)


@pytest.fixture
def picture(request) -> Callable:
    """`picture(viewer, name)` writes a screenshot to docs/images where PSSR_PICTURES is set."""

    def take(viewer, name: str) -> None:
        if os.environ.get("PSSR_PICTURES"):
            folder = Path(__file__).parents[2] / "docs" / "images"
            folder.mkdir(exist_ok=True)
            viewer.screenshot(str(folder / f"{name}.png"), canvas_only=False, flash=False)

    return take

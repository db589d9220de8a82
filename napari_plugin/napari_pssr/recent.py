"""Models that were used before, remembered from one start of napari to the next."""

from pathlib import Path

from qtpy.QtCore import QSettings

MOST = 10


def recent_models() -> list[Path]:
    """The last used first; those that are gone are left out."""
    found = _settings().value("models", [])
    paths = [Path(str(text)) for text in ([found] if isinstance(found, str) else found or [])]
    return [path for path in paths if path.exists()]


def remember(model: Path) -> None:
    """Put a model first.

    Args:
        model: a model file or a run folder.
    """
    others = [path for path in recent_models() if path != model.resolve()]
    _settings().setValue("models", [str(path) for path in [model.resolve(), *others][:MOST]])


def _settings() -> QSettings:
    return QSettings(QSettings.defaultFormat(), QSettings.Scope.UserScope, "pssr", "napari")

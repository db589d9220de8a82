"""Restore fast, gentle, noisy, low-resolution point-scanning movies.

    import pssr

    model = pssr.train("good_movies/", "runs/mito", preset="movie", scale=4)
    model.predict_file("lowres.czi", "restored.ome.tif", channel="mito")

The public names below are imported on first use, so that `import pssr` costs nothing and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pssr.api import calibrate as calibrate
    from pssr.api import evaluate as evaluate
    from pssr.api import load as load
    from pssr.api import movies as movies
    from pssr.api import preview as preview
    from pssr.api import train as train
    from pssr.config import Config as Config
    from pssr.config import preset as preset
    from pssr.config import read_config as read_config
    from pssr.crappify.chain import Crappifier as Crappifier
    from pssr.crappify.chain import crappifier as crappifier
    from pssr.data.intensity import Intensity as Intensity
    from pssr.data.intensity import measure as measure
    from pssr.errors import ChoiceNeeded as ChoiceNeeded
    from pssr.errors import ConfigError as ConfigError
    from pssr.errors import ModelError as ModelError
    from pssr.errors import PssrError as PssrError
    from pssr.errors import ReadError as ReadError
    from pssr.errors import WriteError as WriteError
    from pssr.io.array_stack import stack_of as stack_of
    from pssr.io.open import open_stack as open_stack
    from pssr.io.stack import Movie as Movie
    from pssr.io.stack import Stack as Stack
    from pssr.io.write import StackWriter as StackWriter
    from pssr.predict.events import Noted as Noted
    from pssr.predict.events import Progress as Progress
    from pssr.predict.events import Warned as Warned
    from pssr.predict.events import Written as Written
    from pssr.predict.predictor import Predictor as Predictor
    from pssr.recipes import recipe_names as recipe_names
    from pssr.simulate import tubules as tubules
    from pssr.training.events import PhaseStarted as PhaseStarted
    from pssr.training.events import Saved as Saved
    from pssr.training.events import Step as Step
    from pssr.training.events import Validated as Validated
    from pssr.training.fit import fit as fit
    from pssr.training.log import read_log as read_log

_HOMES = {
    "ChoiceNeeded": "pssr.errors",
    "Config": "pssr.config",
    "ConfigError": "pssr.errors",
    "Crappifier": "pssr.crappify.chain",
    "Intensity": "pssr.data.intensity",
    "ModelError": "pssr.errors",
    "Movie": "pssr.io.stack",
    "Noted": "pssr.predict.events",
    "PhaseStarted": "pssr.training.events",
    "Predictor": "pssr.predict.predictor",
    "Progress": "pssr.predict.events",
    "PssrError": "pssr.errors",
    "ReadError": "pssr.errors",
    "Saved": "pssr.training.events",
    "Stack": "pssr.io.stack",
    "StackWriter": "pssr.io.write",
    "Step": "pssr.training.events",
    "Validated": "pssr.training.events",
    "Warned": "pssr.predict.events",
    "WriteError": "pssr.errors",
    "Written": "pssr.predict.events",
    "calibrate": "pssr.api",
    "crappifier": "pssr.crappify.chain",
    "evaluate": "pssr.api",
    "fit": "pssr.training.fit",
    "load": "pssr.api",
    "measure": "pssr.data.intensity",
    "movies": "pssr.api",
    "open_stack": "pssr.io.open",
    "preset": "pssr.config",
    "preview": "pssr.api",
    "read_config": "pssr.config",
    "read_log": "pssr.training.log",
    "recipe_names": "pssr.recipes",
    "stack_of": "pssr.io.array_stack",
    "train": "pssr.api",
    "tubules": "pssr.simulate",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("pssr-toolkit")
    if name not in _HOMES:
        raise AttributeError(f"module 'pssr' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

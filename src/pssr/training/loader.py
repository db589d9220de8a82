"""Batches of good bundles for one process of a training, from any step on."""

import signal
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.process import BaseProcess

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from pssr.config import Config
from pssr.data.patches import Patches
from pssr.data.resident import Resident
from pssr.errors import PssrError, TrainingError
from pssr.training.distributed import World
from pssr.training.holding import Handler
from pssr.training.steps import groups

DEAF_TO = (signal.SIGINT, signal.SIGTERM, *((signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()))
CHILD = signal.SIGCHLD if hasattr(signal, "SIGCHLD") else None
HANGS_S = 300.0  # that a worker may take for a batch
ENDS_S = 2.0  # that workers may take to end


def batches(
    config: Config,
    patches: Patches,
    step: int,
    here: World,
    device: torch.device,
    stays: Resident | None = None,
) -> Generator[list[Tensor], None, None]:
    """Good bundles, with their real partners, of this process's groups; the same for any number of workers.

    Args:
        config: of the run.
        patches: to learn from.
        step: the first one.
        here: whose share of each batch.
        device: where they will go.
        stays: the planes on that device, where they are there.

    Raises:
        TrainingError: a worker died or hangs.
    """
    batch = config.data.batch
    mine = [item for group in here.share(len(groups(batch))) for item in groups(batch)[group]]
    items = ([k * batch + item for item in mine] for k in range(step, config.train.steps))
    if stays is None:
        yield from _from_memory(config, patches, items, device)
        return
    for numbers in items:
        cut = [[stays.cut(square) for square in patches.squares(k)] for k in numbers]
        yield [torch.stack(squares) for squares in zip(*cut, strict=True)]


def _from_memory(
    config: Config, patches: Patches, items: Iterator[list[int]], device: torch.device
) -> Generator[list[Tensor], None, None]:
    others = set(active_children())
    made = _begun(patches, items, config.data.workers, device)
    helpers = [child for child in active_children() if child not in others]
    raises = _on_death(helpers, signal.SIG_DFL)
    try:
        while True:
            _on_death(helpers, raises)
            try:
                found = _next(made, helpers)
            finally:
                _on_death(helpers, signal.SIG_DFL)
            if found is None:
                return
            yield found
    finally:
        _end(made, helpers)
        _on_death(helpers, raises)


def _begun(
    patches: Patches, items: Iterator[list[int]], workers: int, device: torch.device
) -> Iterator[list[Tensor] | PssrError]:
    with _held_back(), warnings.catch_warnings():
        # Cutting waits for drives: more workers than cores can be right.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader: DataLoader[list[Tensor] | PssrError] = DataLoader(
            Careful(patches),  # type: ignore[arg-type]
            batch_sampler=items,
            num_workers=workers,
            collate_fn=_batch,
            pin_memory=device.type == "cuda",
            worker_init_fn=_deaf,
            timeout=HANGS_S if workers else 0,
            generator=torch.Generator(),  # else the loader would draw from, and change, torch's global one
        )
        return iter(loader)


@dataclass(frozen=True)
class Careful:
    """Patches; in the place of one that cannot be made there is the reason.

    Raised in a worker, it would come out with the worker's traceback for a sentence.
    """

    patches: Patches

    def __getitem__(self, k: int) -> tuple[np.ndarray, ...] | PssrError:
        """Patch k."""
        try:
            return self.patches[k]
        except PssrError as error:
            return error


def _batch(items: list[tuple[np.ndarray, ...] | PssrError]) -> list[Tensor] | PssrError:
    wrong = [item for item in items if isinstance(item, PssrError)]
    made: list[Tensor] = [] if wrong else default_collate(items)
    return wrong[0] if wrong else made


def _next(made: Iterator[list[Tensor] | PssrError], helpers: Sequence[BaseProcess]) -> list[Tensor] | None:
    """The next batch; None after the last."""
    try:
        dead = [str(helper.pid) for helper in helpers if not helper.is_alive()]
        if dead:
            raise RuntimeError(f"process {', '.join(dead)}")
        found = next(made, None)
    except (RuntimeError, OSError, EOFError) as error:
        # What a worker raised itself is a mistake of ours or of a part that was given.
        raised = str(error).startswith("Caught") and all(helper.is_alive() for helper in helpers)
        if raised or not helpers:
            raise
        why = str(error).partition("\n")[0] or type(error).__name__
        raise TrainingError(
            f"data.workers: a process that cuts patches died ({why}); run the same command "
            "again to continue, with fewer workers or less data.cache_gb if memory was short"
        ) from error
    if isinstance(found, PssrError):
        raise found
    return found


def _on_death(helpers: Sequence[BaseProcess], handler: Handler) -> Handler:
    """Set what happens when a worker dies, and give back what did.

    Torch raises, wherever the process happens to be: in the middle of a step, or of a save. Here this waits until a
    batch is asked for. Only the main thread may set it, and only there torch does.
    """
    if CHILD is None or not helpers or threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(CHILD, signal.SIG_DFL if handler is None else handler)


def _end(made: Iterator[list[Tensor] | PssrError], helpers: Sequence[BaseProcess]) -> None:
    """Let the workers go; those who do not are made to.

    One that was killed may have held a lock for which the others, and whoever bids them farewell, wait for ever.
    """
    if not helpers:
        return
    farewell = threading.Thread(target=made._shutdown_workers, daemon=True)  # type: ignore[attr-defined]
    farewell.start()
    farewell.join(ENDS_S)
    for helper in helpers:
        # They are deaf to SIGTERM.
        helper.kill()
        helper.join()


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals that arrive while workers are started reach this process afterwards, and the workers never."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF_TO)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _deaf(_worker: int) -> None:
    """Ctrl-C and a scheduler reach every process; the workers end when the training has saved itself."""
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)

"""One restoration by many workers: dask hands out blocks, and hands those of a worker that dies to another."""

import logging
import os
import threading
import uuid
from collections.abc import Generator as Closable
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import torch
from distributed import Client, KilledWorker, LocalCluster, Security, WorkerPlugin, as_completed, get_worker
from distributed.utils import silence_logging_cmgr

from pssr.errors import ConfigError, PssrError, WriteError
from pssr.model_file import Model
from pssr.predict.engine import Engine
from pssr.predict.events import Event, Noted, Progress, Written
from pssr.predict.files import FileWords, Plan, planned
from pssr.predict.shards import begun, restored_block, shared_files
from pssr.predict.shared import Block, SharedFiles, planes_of
from pssr.predict.unfinished import FinishedElsewhere

if TYPE_CHECKING:
    from pssr.predict.predictor import Predictor

RETRIES = 3  # of a block, by another worker if there is one: its disk may be away, or its device full
SILENT = "60 s"  # after which a worker that says nothing is given up
TTL = "distributed.scheduler.worker-ttl"
ANSWERS_S = 30  # a scheduler, if there is one


@dataclass(frozen=True)
class Errand:
    """What a worker needs to know, once; all of it travels, but for the stack and the files.

    Args:
        models: by name, the first one first.
        settings: of the predictor: device, precision, tile, turns, trust, compiled.
        plan: of the whole.
        target: the file.
        words: as for `Predictor.steps`.
        threads: that a worker may use; None leaves it to the machine.
    """

    models: Sequence[tuple[str, Model]]
    settings: dict[str, Any]
    plan: Plan
    target: Path
    words: FileWords
    threads: int | None


class Worker(WorkerPlugin):
    """The model and the files, opened once in each worker; a plugin of dask's.

    Args:
        errand: what is to be done.
    """

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        # Several commands may use the same workers at once.
        self.name = f"pssr-{uuid.uuid4().hex}"

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - dask's words
        """Called by dask when the worker begins, or joins later; as long as it lasts, dask hears nothing of the worker."""
        self._opening = threading.Lock()
        self._opened: tuple[SharedFiles, list[Engine]] | None = None

    def restore(self, block: Block) -> None:
        """Restore one block, unless another worker has done so."""
        with self._opening:
            if self._opened is None:
                self._opened = _opened(self._errand)
        files, engines = self._opened
        files.join()
        if block not in files.left():
            return
        steps = restored_block(self._errand.plan, engines, files, block, self._errand.words)
        with closing(steps):
            for _ in steps:
                pass
        files.mark(block)


def _opened(errand: Errand) -> tuple[SharedFiles, list[Engine]]:
    """The files to be filled, and the model on this worker's device."""
    # Imported here: a predictor knows how to be restored by many.
    from pssr.predict.predictor import Predictor

    if errand.threads:
        torch.set_num_threads(errand.threads)
    names, models = zip(*errand.models, strict=True)
    settings = dict(errand.settings)
    made = Predictor.of(
        *models, device=settings.pop("device"), precision=settings.pop("precision"),
        names=names, trust=settings.pop("trust"),
    )  # fmt: skip
    # It writes under the precision that was measured where the errand came from.
    predictor = replace(made, **settings)
    files = shared_files(predictor, errand.plan, errand.target, errand.words)
    return files, predictor.engines(spread=bool(errand.plan.noises))


def restore_block(name: str, block: Block) -> int:
    """What is sent to a worker: the name of the plugin, and a block; how many planes it has."""
    plugin = get_worker().plugins[name]
    assert isinstance(plugin, Worker)
    plugin.restore(block)
    return planes_of([block])


def restored_by_many(
    predictor: "Predictor",
    source: Path,
    target: Path,
    words: FileWords,
    *,
    workers: int | None = None,
    address: str | None = None,
) -> Closable[Event, None, None]:
    """Restore a file with the workers of a cluster; the same call again goes on.

    Args:
        predictor: a model; workers take its settings, and a device of their own.
        source: low-resolution, where every worker finds it under this path.
        target: an OME-Zarr, likewise.
        words: as for `Predictor.steps`.
        workers: processes to start on this machine.
        address: of a dask scheduler, instead.

    Yields:
        What happens.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    source, target = source.resolve(), target.resolve()
    plan = planned(predictor, source, target, words)
    yield from plan.said
    try:
        predictor, files = begun(predictor, plan, target, words)
        left = files.left()
        total, before = planes_of(files.blocks), planes_of(files.blocks) - planes_of(left)
        if before:
            yield Noted(f"goes on: {before} of {total} planes were restored before")
        if left:
            errand = _errand(predictor, plan, target, words, workers)
            with closing(_restored(errand, left, workers, address)) as steps:
                for done in steps:
                    yield Progress(before + done, total) if isinstance(done, int) else done
        files.finish(overwrite=words.get("overwrite", False))
    except FinishedElsewhere as end:
        yield Noted(str(end))
        return
    yield from map(Written, files.paths)


def _restored(
    errand: Errand, blocks: Sequence[Block], workers: int | None, address: str | None
) -> Closable[int | Noted, None, None]:
    """How many planes are done, each time when it is more of them."""
    done, plugin = 0, Worker(errand)
    with _client(workers, address) as client:
        if not client.scheduler_info(n_workers=1)["workers"]:
            yield Noted(f"the scheduler at {address} has no workers yet; waits for them")
        try:
            _register(client, plugin)
            futures = client.map(partial(restore_block, plugin.name), blocks, retries=RETRIES, pure=False)
            for future in as_completed(futures, loop=client.loop):
                done += future.result()
                yield done
        except KilledWorker as error:
            raise WriteError(
                f"{errand.target}: several workers died over one part of it, as they do where memory is full; "
                "go on with fewer workers or a smaller tile"
            ) from error
        except PssrError:
            raise
        except (CancelledError, TimeoutError, OSError) as error:
            raise WriteError(
                f"{errand.target}: the scheduler does not answer any more; the same command goes on"
            ) from error
        finally:
            # Workers that are not ours stay, and others may join them.
            with suppress(KeyError, OSError, ValueError, CancelledError, TimeoutError):
                client.unregister_worker_plugin(plugin.name)


def _register(client: Client, plugin: Worker) -> None:
    """Make a plugin known to all workers, those that come later among them."""
    for left in reversed(range(RETRIES)):
        try:
            client.register_plugin(plugin)
            return
        except OSError:
            # As when one of the workers dies in this moment.
            if not left or client.status != "running":
                raise


def _errand(
    predictor: "Predictor", plan: Plan, target: Path, words: FileWords, workers: int | None
) -> Errand:
    settings = {
        "device": predictor.asked, "precision": predictor.precision, "trust": predictor.trust,
        "tile_px": predictor.tile_px, "turns": predictor.turns, "compiled": predictor.compiled,
    }  # fmt: skip
    threads = max((os.cpu_count() or 1) // workers, 1) if workers else None
    models = [(predictor.name, predictor.model), *predictor.others]
    return Errand(models, settings, plan, target, words, threads)


@contextmanager
def _client(workers: int | None, address: str | None) -> Iterator[Client]:
    """A connection to a scheduler, or to one that is started here for as long as it is needed."""
    with ExitStack() as stack:
        # What it has to say to a person is said by the errors below.
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
        where: Any = address
        if address is None:
            asked = dask.config.get(TTL, default=SILENT, config=dask.config.collect())
            stack.enter_context(dask.config.set({TTL: asked}))
            where = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    # What takes seconds to import is imported before dask waits for signs of life.
                    preload=[__name__],
                    # A worker that it paused for lack of memory would never go on.
                    memory_limit=None,
                    # On a port that is free: the usual one belongs to the first of several commands.
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                    # Else any other user of the machine could have the workers run what he likes.
                    security=Security.temporary(),
                )
            )
        try:
            # A dask that the caller works with stays the one that his arrays are computed by.
            client = stack.enter_context(Client(where, timeout=ANSWERS_S, set_as_default=False))
        except OSError as error:
            raise WriteError(f"scheduler: {address} does not answer ({error}); check the address") from error
        except ValueError as error:
            raise ConfigError(
                f"scheduler: {address!r} is no address ({error}); write it such as tcp://host:8786"
            ) from error
        yield client

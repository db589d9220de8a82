"""How the processes of a training find each other: `torchrun` keeps one store for all its restarts."""

import time
import uuid
from datetime import timedelta

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from pssr.errors import TrainingError

LOOK_EVERY_S = 0.05


def fresh(store: Store, rank: int, size: int, patience: timedelta) -> Store:
    """A part of a store that no process of an earlier start has written to.

    What the dead wrote stays in the store, and whoever reads the address of one there waits for it in vain. So each
    process asks under a name of its own, and the first one answers until all have come.

    Args:
        store: that all processes share.
        rank: of this one.
        size: how many there are.
        patience: that a process waits for the others.

    Raises:
        TrainingError: they do not come.
    """
    name = uuid.uuid4().hex
    if rank:
        store.set(f"asks {rank}", name)
        try:
            start = store.get(f"answer to {name}").decode()
        except RuntimeError as error:
            raise _alone(rank, patience) from error
        store.set(f"{start} has {rank}", "")
        return PrefixStore(start, store)
    awaited, deadline = set(range(1, size)), time.monotonic() + patience.total_seconds()
    while awaited:
        for other in awaited:
            if store.check([f"asks {other}"]):
                # Perhaps that of a dead one; the next look finds what its successor asks.
                store.set(f"answer to {store.get(f'asks {other}').decode()}", name)
        awaited = {other for other in awaited if not store.check([f"{name} has {other}"])}
        if awaited and time.monotonic() > deadline:
            raise _alone(rank, patience)
        time.sleep(LOOK_EVERY_S)
    return PrefixStore(name, store)


def _alone(rank: int, patience: timedelta) -> TrainingError:
    return TrainingError(
        f"process {rank}: the others did not come within {patience.total_seconds():.0f} s; look for their errors, and run "
        "the same command again"
    )

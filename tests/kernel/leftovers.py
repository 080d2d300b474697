"""What is there when no program runs: to be the same before and after."""

from __future__ import annotations

from typing import NamedTuple

from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import sched_data, task_struct
from guest_kernel.mm.page_alloc import drain_local_pages, nr_free_pages
from guest_kernel.mm.slab import for_each_slab_cache, kmem_cache_usage, shrink_slabs
from guest_kernel.process.tasks import for_each_process_thread
from ringlet.session import Session


class Left(NamedTuple):
    """What is there when no program runs.

    Attributes:
        tasks: the names of all.
        processes: of the user's.
        signals: queued for them.
        frames: free, or in slabs.
        objects: in use, by the name of the cache.
    """

    tasks: list[bytes]
    processes: int
    signals: int
    frames: int
    objects: dict[str, int]


def left(session: Session) -> Left:
    """Count what is there."""
    k = session.kernel.k
    shrink_slabs(k)
    drain_local_pages(k)
    user = task_struct.at(k, k.data(sched_data).init_task.va).user
    assert user is not None
    usage = {cache.name.decode(): kmem_cache_usage(cache)[0] for cache in for_each_slab_cache(k)}
    # A cache is made with its first object, and stays.
    objects = {name: n for name, n in usage.items() if n and name != "kmem_cache"}
    # Objects are compared one by one; how many slabs they are spread over is chance.
    return Left(sorted(task.comm for task in for_each_process_thread(k)), user.processes,
                user.sigpending, nr_free_pages(k) + k.data(mm_data).nr_slab_pages, objects)

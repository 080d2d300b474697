"""What a task keeps of System V semaphores.  See Linux include/linux/sem_types.h, ipc/sem.c.

On its own, because ``task_struct`` has it, and the rest (``layout/ipc.py``) points at tasks.
"""

from guest_kernel.layout.declare import U32, Embed, Ptr, Struct, VoidPtr
from guest_kernel.layout.list import list_head


class sem_undo_list(Struct):
    """What is to be undone when the last of the tasks that share it ends: CLONE_SYSVSEM."""

    refcnt = U32("tasks that share it")
    list_proc = Embed(list_head, "sem_undo.list_proc of each set, the one used last first")


class sysv_sem(Struct):
    """A task's semaphores: what it has to undo, and what it sleeps on."""

    undo_list = Ptr(lambda: sem_undo_list, "NULL: it has used SEM_UNDO with no set")
    queue = VoidPtr("its sem_queue while it sleeps in semop(2); Linux's is on the kernel stack")

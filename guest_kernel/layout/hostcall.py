"""The numbers that ring 0 writes to the host-call port: what it asks of the hosted half."""

from enum import IntEnum


class HostCall(IntEnum):
    """Bits 7 to 0 of the value; an exception's vector is in bits 15 to 8."""

    START_KERNEL = 1  # build everything; pcpu_hot.regs is the physical address of boot_params
    SYSCALL = 2  # the call in pt_regs.orig_ax
    EXCEPTION = 3  # an exception or interrupt; pcpu_hot.regs is its pt_regs
    SCHEDULE = 4  # pick pcpu_hot.next_task
    FINISH_SWITCH = 5  # pcpu_hot.prev_dead runs no more
    EXIT_WORK = 6  # thread_info.flags ask for work before ring 3
    KTHREAD = 7  # one step of the current kernel thread
    BAD_IRET = 8  # pt_regs.ip is not canonical
    FINISH_EXEC_MM = 9  # pcpu_hot.prev_mm is not loaded any more
    PREEMPT_SCHEDULE = 10  # the same as SCHEDULE, for a task that did not ask for it
    KTHREAD_EXIT = 11  # a kernel thread's routine has returned pcpu_hot.arg
    WAKE_UP_PROCESS = 12  # wake the task pcpu_hot.arg
    SET_CURRENT_STATE = 13  # change current's state to pcpu_hot.arg
    KTIME_GET = 14  # pcpu_hot.arg: monotonic ns
    START_SLEEP_TIMER = 15  # wake current in pcpu_hot.arg ns; less than 0: not
    STOP_SLEEP_TIMER = 16  # do not wake it any more
    PROGRAM_EVENT = 17  # interrupt at pcpu_hot.arg, monotonic ns
    CPUTIMERS = 18  # current has begun to run, and there are timers on CPU time

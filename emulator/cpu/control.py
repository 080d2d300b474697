"""The control block: one page that the microcode and the run loop share.

The native microcode addresses it through the hooks' user-data pointer, Python through a
memoryview; both keep the clock there.  Offsets are in bytes, each word 8 bytes.

The clock counts code bytes retired, and 1 for each interrupt or exception delivered.  At the start
of each block its whole size is added; where a block is left early, what was not executed is taken
back.  So the clock does not depend on how execution was cut into blocks, and names a point in time
exactly.  (One thing is counted twice: what is left of a block whose store has changed a later
instruction of the same block, because the engine begins again there and does not say so.)

A run stops, and so interrupts are taken, only where control has come from elsewhere: at the target
of a jump, a call, a return, an event.  Where a block merely follows the one before, because a page
ends or the engine has had enough, or because a breakpoint or single steps cut it, is no such place.
And an interrupt that had to wait for RFLAGS.IF is taken where that is set, as on a processor.  So
it does not matter either how execution is cut into blocks, and a debugger changes nothing.

Who wants to know how the clock divides between ring 3 and the kernel names a place in RAM for two
words, :data:`RING0_SINCE` and :data:`RING0_TIME`, as for a paravirtual clock: the kernel reads its
own time there without a callback, and it is in every snapshot.  The kernel is what runs in the
upper half of the linear addresses.  When execution gets there, the first word becomes the clock;
when it leaves, what has passed is added to the second word, and the first becomes 0.  The kernel
may take away what it has counted by setting the first to the clock and the second to 0.

A delivery counts because a handler whose first instruction cannot be fetched retires nothing, and
would otherwise fault for ever at one instant.
"""

from enum import IntEnum
from typing import Final

CLOCK: Final = 0  # bytes retired and events delivered, plus what idling skipped: virtual ns
DEADLINE: Final = 8  # stop at the first place to stop at or after this clock
BLOCK_START: Final = 16  # the current block: its address,
BLOCK_SIZE: Final = 24  # and its size, 0 once its bytes have been settled
EXIT: Final = 32  # why the run ended, see Exit; 0 while nobody has said
EXIT_VALUE: Final = 40  # what goes with it: the host call's number
RIP: Final = 48  # where to run from, and where the run stopped
RESUME_CLOCK: Final = 56  # the clock when the run began
RESUMED_INSIDE: Final = 64  # 1: the next run does not begin at a place to stop
WAIT_IF: Final = 72  # 1: an interrupt is pending; stop where RFLAGS.IF allows it
SLICE_END: Final = 80  # stop at this clock even so, and in a storm of exceptions; 0: anywhere
ERROR: Final = 88  # what uc_emu_start returned
ENGINE: Final = 96  # uc_engine *
CONTEXT: Final = 104  # uc_context *, the microcode's scratch
RAM_BASE: Final = 112  # host address of RAM
RAM_SIZE: Final = 120
UC_CONTEXT_SAVE: Final = 128  # the library's functions
UC_CONTEXT_RESTORE: Final = 136
UC_REG_READ: Final = 144
UC_REG_WRITE: Final = 152
UC_EMU_START: Final = 160
UC_EMU_STOP: Final = 168
SLOW_INTR: Final = 176  # the Python reference, for what the native microcode leaves to it
SLOW_SYSCALL: Final = 184
SLOW_OUT: Final = 192
SCRATCH: Final = 200
NR_SYSCALLS: Final = 208  # SYSCALL instructions executed
REFUSED: Final = 216  # 1: an instruction was refused; nothing counts until the run ends
ACCESSES: Final = 224  # the clock for which the block's device accesses are known; 0: none are
SAVED_DEADLINE: Final = 240  # a host call has set DEADLINE to 0, so that the next block stops
ACTIVITY: Final = 232  # what the processor does when it is not told to run, see Activity
IDLE: Final = 248  # what halting has skipped of the clock
TRAPS: Final = 256  # 256 words: events delivered, by vector
START: Final = 2304  # start and the rest of abort.asm
CPU_STATE: Final = 2312  # the engine's CPUX86State *, for functions of its inside
RAISE_EXCEPTION: Final = 2320
ABORTED: Final = 2328  # 1: this #UD is a translation that was abandoned
STOPPED_INSIDE: Final = 2336  # 1: this run has ended at no place to stop
IF_CLOSED: Final = 2344  # 1: since the interrupt is pending, RFLAGS.IF or MOV SS held it off
STOP_NEXT: Final = 2352  # n: stop before the nth instruction from here; if all are hooked: stops.py
CALL_PENDING: Final = 2360  # 1: the next run begins with the host call EXIT_VALUE
RING0_TIMES: Final = 2368  # host address of where the kernel's time is counted; 0: nowhere
SIZE: Final = 4096

# At RING0_TIMES:
RING0_SINCE: Final = 0  # the clock at which the kernel began to run; 0: it does not
RING0_TIME: Final = 8  # ns that it ran before

# What the machine's state has of it, from where to where; the rest is of the run, or of the host.
SAVED: Final = ((CLOCK, CLOCK + 8), (EXIT_VALUE, EXIT_VALUE + 8),
                (RESUMED_INSIDE, RESUMED_INSIDE + 8), (CALL_PENDING, CALL_PENDING + 8),
                (NR_SYSCALLS, NR_SYSCALLS + 8), (IDLE, IDLE + 8), (TRAPS, TRAPS + 8 * 256))
NR_SAVED: Final = sum(end - start for start, end in SAVED) >> 3


class Activity(IntEnum):
    """The processor's activity state, as a VMCS numbers it; see Intel SDM vol. 3C, "VMCS"."""

    ACTIVE = 0
    HLT = 1  # waits for an interrupt
    SHUTDOWN = 2  # for good


class Exit(IntEnum):
    """Why a run ended."""

    NONE = 0
    HOST_CALL = 1  # ring 0 wrote to the host-call port
    TIMER = 2  # the deadline was reached
    HALT = 3  # HLT
    SHUTDOWN = 4  # triple fault
    PORT = 5  # an exception was delivered between two runs, for a port access above all: run again
    DEBUG_EXIT = 6  # a device asked for the end of the machine
    BREAKPOINT = 7
    ERROR = 8  # the engine gave up
    WATCHPOINT = 9
    STEP = 10  # one instruction has been executed, or one event delivered
    STOPPED = 11  # somebody asked for it

"""The FPU and SSE state of a task: an FXSAVE image, which ``__switch_to`` saves and loads.

See: Intel SDM vol. 1, "FXSAVE Area"; Linux arch/x86/kernel/fpu/.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.layout.sched import task_struct
from guest_kernel.signal.numbers import FPE_FLTDIV, FPE_FLTINV, FPE_FLTOVF, FPE_FLTRES, FPE_FLTUND

FXSAVE_SIZE: Final = 512
MXCSR_MASK: Final = 0xFFFF  # bits that the processor has; FXRSTOR of another one is #GP
_FCW: Final = 0x37F  # after FNINIT
_MXCSR: Final = 0x1F80  # all exceptions masked

INIT_FPSTATE: Final = (_FCW.to_bytes(2, "little") + bytes(22) + _MXCSR.to_bytes(4, "little")).ljust(
    FXSAVE_SIZE, b"\0")


def init_fpstate(task: task_struct) -> None:
    """Set the image to what a program begins with; the caller has it loaded."""
    task.fxsave[:] = INIT_FPSTATE


def valid_fpstate(image: bytes) -> bytes:
    """Return an image that a program has made, without the bits of MXCSR that FXRSTOR refuses."""
    mxcsr = int.from_bytes(image[24:28], "little") & MXCSR_MASK
    return image[:24] + mxcsr.to_bytes(4, "little") + image[28:]


# The exceptions of x87 and SSE, and what SIGFPE calls them, the first that holds: see SDM vol. 1,
# "x87 FPU Status Register", "MXCSR Control and Status Register".
_EXCEPTIONS: Final = (
    (0x01, FPE_FLTINV),  # IE: invalid operation
    (0x04, FPE_FLTDIV),  # ZE: zero divide
    (0x08, FPE_FLTOVF),  # OE: overflow
    (0x12, FPE_FLTUND),  # DE, UE: denormal operand, underflow
    (0x20, FPE_FLTRES),  # PE: precision
)


def fpu_exception_code(task: task_struct, *, simd: bool) -> int:
    """Return the si_code of the exceptions that are set and not masked, or 0: none is.

    Args:
        simd: of SSE's, in MXCSR; else of x87's, in its status and control words.

    See: Linux arch/x86/kernel/fpu/core.c fpu__exception_code().
    """
    fcw, fsw = task.fxsave[0], task.fxsave[2]
    mxcsr = int.from_bytes(task.fxsave[24:28], "little")
    raised = mxcsr & ~(mxcsr >> 7) if simd else fsw & ~fcw
    return next((code for bits, code in _EXCEPTIONS if raised & bits), 0)

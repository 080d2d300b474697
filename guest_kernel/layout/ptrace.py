"""The registers of ring 3 on the kernel stack.  See Linux arch/x86/include/asm/ptrace.h."""

from guest_kernel.layout.declare import U64, Struct


class pt_regs(Struct):
    """What the entry code pushes, lowest address first; the last five are the CPU's own frame."""

    r15 = U64("callee-saved", writer="asm")
    r14 = U64("callee-saved", writer="asm")
    r13 = U64("callee-saved", writer="asm")
    r12 = U64("callee-saved", writer="asm")
    bp = U64("callee-saved", writer="asm")
    bx = U64("callee-saved", writer="asm")
    r11 = U64("RFLAGS before SYSCALL", writer="asm")
    r10 = U64("fourth argument of a system call", writer="asm")
    r9 = U64("sixth argument", writer="asm")
    r8 = U64("fifth argument", writer="asm")
    ax = U64("result of the system call", writer="both")
    cx = U64("RIP after SYSCALL", writer="asm")
    dx = U64("third argument", writer="asm")
    si = U64("second argument", writer="asm")
    di = U64("first argument", writer="asm")
    orig_ax = U64("number of the system call; else the error code, or -1", writer="asm")
    ip = U64("RIP to return to", writer="both")
    cs = U64("its code segment: the low two bits are the ring", writer="both")
    flags = U64("RFLAGS", writer="both")
    sp = U64("RSP", writer="both")
    ss = U64("its stack segment", writer="both")

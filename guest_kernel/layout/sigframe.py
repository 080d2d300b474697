"""What a handler finds on its stack: the ABI of signal delivery on x86-64.

See: Linux arch/x86/include/asm/sigframe.h, include/uapi/asm/sigcontext.h, asm-generic/ucontext.h.
"""

from typing import Final

from emulator.arch.registers import RFLAGS
from guest_kernel.layout.declare import U16, U32, U64, Array, Embed, Struct, VoidPtr

REDZONE_SIZE: Final = 128  # below RSP, where leaf functions keep data

# ucontext.uc_flags
UC_SIGCONTEXT_SS: Final = 2
UC_STRICT_RESTORE_SS: Final = 4

# What rt_sigreturn may change in RFLAGS.
FIX_EFLAGS: Final = int(RFLAGS.AC | RFLAGS.OF | RFLAGS.DF | RFLAGS.TF | RFLAGS.SF | RFLAGS.ZF
                        | RFLAGS.AF | RFLAGS.PF | RFLAGS.CF | RFLAGS.RF)


class sigcontext_64(Struct):
    """The registers that rt_sigreturn(2) restores."""

    r8 = U64("general register")
    r9 = U64("general register")
    r10 = U64("general register")
    r11 = U64("general register")
    r12 = U64("general register")
    r13 = U64("general register")
    r14 = U64("general register")
    r15 = U64("general register")
    di = U64("general register")
    si = U64("general register")
    bp = U64("general register")
    bx = U64("general register")
    dx = U64("general register")
    ax = U64("general register")
    cx = U64("general register")
    sp = U64("RSP")
    ip = U64("RIP")
    flags = U64("RFLAGS")
    cs = U16("segment")
    gs = U16("0")
    fs = U16("0")
    ss = U16("segment")
    err = U64("error code of the last exception")
    trapno = U64("vector of the last exception")
    oldmask = U64("the first word of the blocked set")
    cr2 = U64("address of the last page fault")
    fpstate = VoidPtr("user address of the FXSAVE image, or 0")
    reserved1 = Array(U64, 8, "zeros")


class ucontext(Struct):
    """What a handler's third argument points at."""

    uc_flags = U64("UC_*")
    uc_link = VoidPtr("0")
    ss_sp = VoidPtr("alternate stack")
    ss_flags = U32("SS_*")
    ss_size = U64("its size")
    uc_mcontext = Embed(sigcontext_64, "registers")
    uc_sigmask = U64("the set that was blocked; blocked again after the handler")


class rt_sigframe(Struct):
    """The frame, lowest address first."""

    pretcode = VoidPtr("where the handler returns to: sa_restorer")
    uc = Embed(ucontext, "third argument")
    info = Array(U64, 16, "siginfo_t, second argument")

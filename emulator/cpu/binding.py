"""The functions of the Unicorn library that the machine uses, through ctypes.

The Python binding costs a microsecond where a bare call costs 0.3, its import takes as long as the
rest of start-up, and its ``hook_add`` refuses hooks that we need; so only the library that the
``unicorn`` package installs is used.  Its numbers are checked against the package's in
``tests/unit/test_unicorn_contract.py``.

See: unicorn/unicorn.h, unicorn/x86.h.
"""

import ctypes
import importlib.util
import os
from ctypes import CFUNCTYPE, POINTER, c_bool, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Final


class EngineError(Exception):
    """The engine refused a call, or gave up emulating."""


UC_ARCH_X86: Final = 4
UC_MODE_64: Final = 8
UC_PROT_ALL: Final = 7

UC_HOOK_INTR: Final = 1 << 0
UC_HOOK_INSN: Final = 1 << 1
UC_HOOK_CODE: Final = 1 << 2
UC_HOOK_BLOCK: Final = 1 << 3
UC_HOOK_MEM_READ: Final = 1 << 10
UC_HOOK_MEM_WRITE: Final = 1 << 11
UC_HOOK_INSN_INVALID: Final = 1 << 14

UC_X86_INS_CPUID: Final = 113
UC_X86_INS_IN: Final = 218
UC_X86_INS_OUT: Final = 500
UC_X86_INS_RDTSC: Final = 608
UC_X86_INS_RDTSCP: Final = 609
UC_X86_INS_SYSCALL: Final = 699
UC_X86_INS_SYSENTER: Final = 700

# No RDRAND, hence no randomness of the host's; RDTSCP, SSE4.2, and no AVX, which the engine lacks.
UC_CPU_X86_SANDYBRIDGE: Final = 17

UC_ERR_FETCH_UNMAPPED: Final = 8
UC_ERR_FETCH_PROT: Final = 14

# uc_ctl's request: type, number of arguments << 26, direction (1 write) << 30.
_UC_CTL_USE_EXITS: Final = 4 | 1 << 26 | 1 << 30
_UC_CTL_CPU_MODEL: Final = 7 | 1 << 26 | 1 << 30
_UC_CTL_TB_FLUSH: Final = 10 | 0 << 26 | 1 << 30
_UC_CTL_TLB_FLUSH: Final = 11 | 0 << 26 | 1 << 30

REGISTERS: Final = {
    "rax": 35, "rcx": 38, "rdx": 40, "rbx": 37, "rsp": 44, "rbp": 36, "rsi": 43, "rdi": 39,
    "r8": 106, "r9": 107, "r10": 108, "r11": 109, "r12": 110, "r13": 111, "r14": 112, "r15": 113,
    "rip": 41, "rflags": 253, "cs": 11, "ss": 49, "ds": 17, "es": 28, "fs": 32, "gs": 33,
    "fs_base": 250, "gs_base": 251, "cr0": 50, "cr2": 52, "cr3": 53, "cr4": 54, "cr8": 58,
    "dr0": 66, "dr1": 67, "dr2": 68, "dr3": 69, "dr6": 72, "dr7": 73, "mxcsr": 249,
}
UC_X86_REG_IDTR: Final = 242
UC_X86_REG_GDTR: Final = 243
UC_X86_REG_TR: Final = 245
UC_X86_REG_MSR: Final = 248
UC_X86_REG_XMM0: Final = 122

BLOCK_HOOK = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_void_p)  # and the code hook's
MEMORY_HOOK = CFUNCTYPE(None, c_void_p, c_int, c_uint64, c_int, c_uint64, c_void_p)
INTR_HOOK = CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
INVALID_HOOK = CFUNCTYPE(c_bool, c_void_p, c_void_p)
SYSCALL_HOOK = CFUNCTYPE(None, c_void_p, c_void_p)
HANDLED_HOOK = CFUNCTYPE(c_int, c_void_p, c_void_p)  # RDTSC, CPUID: 1 means done
IN_HOOK = CFUNCTYPE(c_uint32, c_void_p, c_uint32, c_int, c_void_p)
OUT_HOOK = CFUNCTYPE(None, c_void_p, c_uint32, c_int, c_uint32, c_void_p)
MMIO_READ = CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint32, c_void_p)
MMIO_WRITE = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_uint64, c_void_p)


def _load() -> ctypes.CDLL:
    override = os.environ.get("LIBUNICORN_PATH")
    spec = importlib.util.find_spec("unicorn")
    places = [override] if override else []
    if spec is not None and spec.submodule_search_locations:
        places += [os.path.join(place, "lib") for place in spec.submodule_search_locations]
    for place in places:
        for name in ("libunicorn.so.2", "libunicorn.2.dylib"):
            path = os.path.join(place, name)
            if os.path.exists(path):
                return ctypes.CDLL(path)
    raise EngineError("the Unicorn library is not installed: pip install unicorn")


lib = _load()
lib.uc_version.restype = c_uint32
lib.uc_strerror.restype = ctypes.c_char_p
lib.uc_open.argtypes = [c_int, c_int, POINTER(c_void_p)]
lib.uc_close.argtypes = [c_void_p]
lib.uc_emu_start.argtypes = [c_void_p, c_uint64, c_uint64, c_uint64, c_size_t]
lib.uc_emu_stop.argtypes = [c_void_p]
lib.uc_reg_read.argtypes = [c_void_p, c_int, c_void_p]
lib.uc_reg_write.argtypes = [c_void_p, c_int, c_void_p]
lib.uc_mem_map_ptr.argtypes = [c_void_p, c_uint64, c_size_t, c_uint32, c_void_p]
lib.uc_mmio_map.argtypes = [c_void_p, c_uint64, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p]
lib.uc_hook_del.argtypes = [c_void_p, c_size_t]
lib.uc_context_alloc.argtypes = [c_void_p, POINTER(c_void_p)]
lib.uc_context_free.argtypes = [c_void_p]
lib.uc_context_size.argtypes = [c_void_p]
lib.uc_context_size.restype = c_size_t
lib.uc_context_save.argtypes = [c_void_p, c_void_p]
lib.uc_context_restore.argtypes = [c_void_p, c_void_p]
# The library's own, not of its interface: see forget_code().
_invalidate = getattr(lib, "tb_invalidate_phys_range_x86_64", None)
if _invalidate is not None:
    _invalidate.argtypes = [c_void_p, c_uint64, c_uint64]
    _invalidate.restype = None
# uc_hook_add and uc_ctl are variadic: each call gives ctypes objects of the right width.


def check(error: int, what: str) -> None:
    """Raise :class:`EngineError` if the library answered ``error`` to ``what``."""
    if error:
        raise EngineError(f"{what}: {lib.uc_strerror(c_int(error)).decode()}")


def version() -> tuple[int, int, int]:
    """Return the library's version."""
    packed = lib.uc_version(None, None)
    return packed >> 24, packed >> 16 & 0xFF, packed >> 8 & 0xFF


def open_engine() -> c_void_p:
    """Create an engine of the CPU model that the machine has.

    Its ``until`` addresses are off: see ENGINE notes in :mod:`emulator.cpu.cpu`.
    """
    uc = c_void_p()
    check(lib.uc_open(UC_ARCH_X86, UC_MODE_64, ctypes.byref(uc)), "uc_open")
    check(lib.uc_ctl(uc, c_uint32(_UC_CTL_CPU_MODEL), c_int(UC_CPU_X86_SANDYBRIDGE)), "CPU model")
    check(lib.uc_ctl(uc, c_uint32(_UC_CTL_USE_EXITS), c_int(1)), "exits")
    return uc


def hook_add(uc: c_void_p, kind: int, callback: object, user_data: int = 0,
             instruction: int | None = None, begin: int = 1, end: int = 0) -> int:
    """Add a hook; ``callback`` is a CFUNCTYPE object or a native address.

    Args:
        begin, end: the addresses, both included; all, if ``begin`` is more than ``end``.

    Returns:
        What :func:`hook_del` takes.
    """
    handle = c_size_t()
    pointer = c_void_p(callback) if isinstance(callback, int) else callback
    arguments = [uc, ctypes.byref(handle), c_int(kind), pointer, c_void_p(user_data),
                 c_uint64(begin), c_uint64(end)]
    if instruction is not None:
        arguments.append(c_int(instruction))
    check(lib.uc_hook_add(*arguments), f"hook {kind} {instruction}")
    return handle.value


def hook_del(uc: c_void_p, handle: int) -> None:
    """Remove a hook; what was translated with it may go on calling it."""
    check(lib.uc_hook_del(uc, handle), "remove a hook")


def flush_tb(uc: c_void_p) -> None:
    """Drop every translation."""
    check(lib.uc_ctl(uc, c_uint32(_UC_CTL_TB_FLUSH)), "flush translations")


def flush_tlb(uc: c_void_p) -> None:
    """Drop every entry of the TLB."""
    check(lib.uc_ctl(uc, c_uint32(_UC_CTL_TLB_FLUSH)), "flush TLB")


def forget_code(uc: c_void_p, start: int, end: int) -> None:
    """Drop the translations of physical addresses [start, end) of what was mapped first.

    The interface's ``ctl_remove_cache`` translates a virtual address and needs it to be executable,
    so the function behind it is called; where that is not exported, everything is dropped.
    See: qemu accel/tcg/translate-all.c tb_invalidate_phys_range().
    """
    if _invalidate is None:
        flush_tb(uc)
    else:
        _invalidate(uc, start, end)

"""A kernel's hosted half on plain RAM: no CPU, no image, no boot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator.memory import Ram
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, START_KERNEL_MAP, Struct
from guest_kernel.layout.page import mm_data
from guest_kernel.mm.page_alloc import mem_init
from guest_kernel.mm.slab import kmem_cache_init

RAM_SIZE = 16 << 20
IMAGE_END = KERNEL_LOAD + 0x2_0000

# Structures of globals, which in a real image the builder places.
GLOBALS: tuple[type[Struct], ...] = (mm_data,)


class BareKernel(Kernel):
    """A kernel that notes the frames whose translations it was told to drop."""

    def __init__(self, ram: Ram, symbols: dict[str, int], image_end: int) -> None:
        super().__init__(ram, symbols, image_end)
        self.flushed: list[int] = []

    def flush_code(self, pa: int) -> None:
        self.flushed.append(pa)


def attach(ram: Ram) -> BareKernel:
    """Return a new kernel object for what is in ``ram``."""
    symbols, va = {}, START_KERNEL_MAP + KERNEL_LOAD + 0x1000
    for kind in GLOBALS:
        symbols[kind.__name__] = va
        va += -(-kind.size // 64) * 64
    assert va - START_KERNEL_MAP <= IMAGE_END
    return BareKernel(ram, symbols, IMAGE_END)


def boot(size: int = RAM_SIZE) -> BareKernel:
    """Return a kernel with fresh RAM whose allocators are ready."""
    k = attach(Ram(size))
    mem_init(k, size, IMAGE_END, [(0, IMAGE_END)])
    kmem_cache_init(k)
    return k


@pytest.fixture
def bare_kernel() -> BareKernel:
    return boot()


@pytest.fixture(scope="session")
def boot_kernel() -> Callable[..., BareKernel]:
    """The function that makes a ``bare_kernel``, for tests that need several."""
    return boot


@pytest.fixture(scope="session")
def attach_kernel() -> Callable[[Ram], BareKernel]:
    """The function that makes a kernel object for RAM as it is."""
    return attach

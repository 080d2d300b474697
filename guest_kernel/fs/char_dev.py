"""Character devices: from a device number to the operations of its driver.

A device node's inode has operations that only know open(): it looks the driver up and puts the
driver's operations in their place.  The registry is made of what drivers register when they are
imported; it is code, not state, and so not in RAM.

See: Linux fs/char_dev.c; Documentation/admin-guide/devices.txt.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.operations import FileOperations, file_operations
from guest_kernel.layout.fs import MKDEV, Ops, file, inode

# Device number: name in /proc/devices, number of the operations.
_CHRDEVS: Final[dict[int, tuple[str, Ops]]] = {}


def register_chrdev(major: int, minor: int, name: str, fops: Ops) -> None:
    """Make ``fops`` the operations of a character device.

    Raises:
        ValueError: the number is taken.
    """
    dev = MKDEV(major, minor)
    if dev in _CHRDEVS:
        raise ValueError(f"character device {major}:{minor} is {_CHRDEVS[dev][0]} already")
    _CHRDEVS[dev] = name, fops


class ChrdevOperations(FileOperations, ops=Ops.DEF_CHR_FOPS):
    """def_chr_fops."""

    def open(self, node: inode, f: file) -> None:
        """Open the device.

        Raises:
            SyscallError: ENXIO: no driver has it.  What the driver says.
        """
        found = _CHRDEVS.get(node.i_rdev)
        if found is None:
            raise SyscallError(Errno.ENXIO)
        f.f_op = found[1]
        file_operations(f.f_op).open(node, f)

    def llseek(self, f: file, offset: int, whence: int) -> int:
        return f.f_pos


class NoOpenOperations(FileOperations, ops=Ops.NO_OPEN_FOPS):
    """no_open_fops: what cannot be opened, such as a block device or a socket's name."""

    def open(self, node: inode, f: file) -> None:
        raise SyscallError(Errno.ENXIO)


class EmptyOperations(FileOperations, ops=Ops.EMPTY_FOPS):
    """empty_fops: a file opened with O_PATH can do nothing."""

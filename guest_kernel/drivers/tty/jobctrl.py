"""Job control: who may read, write and change a terminal, and who is told of what happens to it.

See: Linux drivers/tty/tty_jobctrl.c; POSIX.1, "General Terminal Interface"; ioctl_tty(2).
"""

from __future__ import annotations

from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.ctty import (
    get_current_tty,
    proc_clear_tty,
    proc_set_tty,
    session_clear_tty,
    set_ctrl,
    set_old_pgrp,
    set_signal_tty,
    signal_of,
    signal_tty,
)
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.fcntl import O_NONBLOCK
from guest_kernel.layout.fs import FMODE_READ, Ops, file
from guest_kernel.layout.sched import TIF_SIGPENDING, pid, task_struct
from guest_kernel.layout.tty import tty_struct
from guest_kernel.mm.uaccess import get_user_u32, put_user_u32
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_SID,
    PIDTYPE_TGID,
    do_each_pid_task,
    find_pid,
    pid_nr,
    pid_task,
    task_pgrp,
    task_session,
)
from guest_kernel.signal.numbers import (
    SIG_IGN,
    SIGCONT,
    SIGHUP,
    SIGTTIN,
    SIGTTOU,
    sigmask,
)
from guest_kernel.signal.signal import (
    is_current_pgrp_orphaned,
    kernel_info,
    kill_pgrp,
    send_signal,
    sig_handler,
)


def tty_io_nonblock(f: file) -> bool:
    """Tell whether a read or write of ``f`` must not sleep."""
    return bool(f.f_flags & O_NONBLOCK)


def _is_ignored(current: task_struct, sig: int) -> bool:
    return bool(current.blocked & sigmask(sig)) or sig_handler(current, sig) == SIG_IGN


def check_change(current: task_struct, tty: tty_struct, sig: int = SIGTTOU) -> None:
    """Let only the foreground group change, or with SIGTTIN read, its controlling terminal.

    Raises:
        SyscallError: ERESTARTSYS: the caller's group is in the background, and ``sig`` has been
            sent to it.  EIO: nobody could continue it; or it may not read and has SIGTTIN blocked
            or ignored.
    """
    if get_current_tty(current) != tty:
        return
    group = tty.ctrl.pgrp
    if group is None or group == task_pgrp(current):
        return
    if _is_ignored(current, sig):
        if sig == SIGTTIN:
            raise SyscallError(Errno.EIO)
        return
    if is_current_pgrp_orphaned(current):
        raise SyscallError(Errno.EIO)
    kill_pgrp(task_pgrp(current), sig)
    current.thread_info.flags |= TIF_SIGPENDING
    raise SyscallError(Errno.ERESTARTSYS)


def job_control(current: task_struct, tty: tty_struct, f: file) -> None:
    """Let only the foreground group read, but for /dev/console.

    Raises:
        SyscallError: as ``check_change``.
    """
    if f.f_op != Ops.CONSOLE_FOPS:
        check_change(current, tty, SIGTTIN)


# ---- getting and losing one


def open_proc_set_tty(current: task_struct, f: file, tty: tty_struct) -> None:
    """Give a session leader that has none the terminal that it opens, if no session has it."""
    signal = signal_of(current)
    if (signal.leader and not signal.tty and tty.ctrl.session is None
            and f.f_mode & FMODE_READ):
        proc_set_tty(current, tty)


def signal_session_leader(tty: tty_struct, exit_session: bool) -> None:
    """Tell the leader of a terminal's session that it is hung up, and take it from the session.

    Args:
        exit_session: it is because the leader ends: tell the foreground group, too.
    """
    group = tty.ctrl.pgrp
    for task in do_each_pid_task(tty.ctrl.session, PIDTYPE_SID):
        signal = signal_of(task)
        if signal_tty(signal) == tty:
            set_signal_tty(signal, None)
        if not signal.leader:
            continue
        for sig in (SIGHUP, SIGCONT):
            send_signal(sig, kernel_info(sig), task, PIDTYPE_TGID)
        if group is not None:
            set_old_pgrp(signal, group)
    if group is not None and exit_session:
        kill_pgrp(group, SIGHUP)


def drop_session(current: task_struct, *, on_exit: bool) -> None:
    """Part a session leader's session from its terminal: disassociate_ctty().

    Args:
        on_exit: the leader ends, and the terminal is a pseudo-terminal or gone already; one with a
            line has been hung up before this.
    """
    signal = signal_of(current)
    tty = signal_tty(signal)
    if tty is None:
        group = signal.tty_old_pgrp
        if on_exit and group is not None:
            for sig in (SIGHUP, SIGCONT):
                kill_pgrp(group, sig)
            set_old_pgrp(signal, None)
        return
    if tty.ctrl.pgrp is not None:
        kill_pgrp(tty.ctrl.pgrp, SIGHUP)
        if not on_exit:
            kill_pgrp(tty.ctrl.pgrp, SIGCONT)
    set_ctrl(tty, None, None)
    set_old_pgrp(signal, None)
    session_clear_tty(task_session(current))


# ---- ioctl(2)


def jobctrl_ioctl(current: task_struct, f: file, tty: tty_struct, cmd: int, arg: int) -> bool:
    """Do a request about sessions and process groups; False: it is another one.

    Raises:
        SyscallError: see ioctl_tty(2).
    """
    if cmd == t.TIOCNOTTY:
        _require_ctty(current, tty)
        if signal_of(current).leader:
            drop_session(current, on_exit=False)
        proc_clear_tty(current)
    elif cmd == t.TIOCSCTTY:
        _tiocsctty(current, f, tty, arg)
    elif cmd == t.TIOCGPGRP:
        _require_ctty(current, tty)
        put_user_u32(tty.k, arg, _number(tty.ctrl.pgrp))
    elif cmd == t.TIOCSPGRP:
        _tiocspgrp(current, tty, arg)
    elif cmd == t.TIOCGSID:
        _require_ctty(current, tty)
        if tty.ctrl.session is None:
            raise SyscallError(Errno.ENOTTY)
        put_user_u32(tty.k, arg, _number(tty.ctrl.session))
    else:
        return False
    return True


def _number(group: pid | None) -> int:
    return pid_nr(group) if group is not None else 0


def _require_ctty(current: task_struct, tty: tty_struct) -> None:
    if get_current_tty(current) != tty:
        raise SyscallError(Errno.ENOTTY)


def _tiocsctty(current: task_struct, f: file, tty: tty_struct, arg: int) -> None:
    """Make ``tty`` the caller's controlling terminal; ``arg`` 1: even if another session has it."""
    signal = signal_of(current)
    if signal.leader and task_session(current) == tty.ctrl.session:
        return
    if not signal.leader or signal.tty:
        raise SyscallError(Errno.EPERM)
    privileged = current.euid == 0
    if tty.ctrl.session is not None:
        if arg != 1 or not privileged:
            raise SyscallError(Errno.EPERM)
        session_clear_tty(tty.ctrl.session)
    if not f.f_mode & FMODE_READ and not privileged:
        raise SyscallError(Errno.EPERM)
    proc_set_tty(current, tty)


def _tiocspgrp(current: task_struct, tty: tty_struct, arg: int) -> None:
    """Make another process group of the session the foreground one."""
    try:
        check_change(current, tty)
    except SyscallError as error:
        if error.errno == Errno.EIO:
            raise SyscallError(Errno.ENOTTY) from None
        raise
    nr = get_user_u32(tty.k, arg)
    if nr >> 31:
        raise SyscallError(Errno.EINVAL)
    if get_current_tty(current) != tty or tty.ctrl.session != task_session(current):
        raise SyscallError(Errno.ENOTTY)
    group = find_pid(tty.k, nr)
    if group is None:
        raise SyscallError(Errno.ESRCH)
    member = pid_task(group, PIDTYPE_PGID) or pid_task(group, PIDTYPE_PID)
    if member is None or task_session(member) != task_session(current):
        raise SyscallError(Errno.EPERM)
    set_ctrl(tty, group, tty.ctrl.session)


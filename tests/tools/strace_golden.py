"""Lines that strace 6.1 has written, and the calls that they are of.

Addresses are in an arena of one page or more at ``B``, which holds ``memory`` and then zeros; after
it nothing is mapped.  Every line was made by strace, with the results injected;
``test_strace.test_golden_lines_are_straces_own`` makes them again.
"""

import struct
from typing import NamedTuple

B = 0x1000_0000
NUL = b"\0"
pack = struct.pack


class Row(NamedTuple):
    """A call: its name or number, registers, what is at ``B``, what it returns, its line."""

    call: tuple[str | int, ...]
    memory: bytes
    result: int
    line: str


def row(*call: str | int, memory: bytes = b"", result: int = 0, line: str) -> Row:
    return Row(call, memory, result, line)


def words(*values: int) -> bytes:
    return pack(f"<{len(values)}Q", *(value & (1 << 64) - 1 for value in values))


def stat(mode: int, rdev: int = 0, size: int = 5) -> bytes:
    return pack("<QQQIIIiQq", 1, 2, 1, mode, 0, 0, 0, rdev, size) + bytes(80)


GOLDEN = [
    # strings and buffers
    row("write", 1, B, 9, memory=b"a\0011\0018\1a\xff\0", result=9,
        line=r'write(1, "a\0011\18\1a\377\0", 9)       = 9'),
    row("write", 1, B, 10, memory=b"\"\\\t\n\v\f\r\a\b\33", result=10,
        line=r'write(1, "\"\\\t\n\v\f\r\7\10\33", 10)  = 10'),
    row("write", 1, B, 32, memory=b"x" * 32, result=32,
        line='write(1, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32) = 32'),
    row("write", 1, B, 33, memory=b"x" * 33, result=33,
        line='write(1, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"..., 33) = 33'),
    row("write", 1, 0, 10, line="write(1, NULL, 10)                      = 0"),
    row("write", 1, 8, 10, result=-14,
        line="write(1, 0x8, 10)                       = -1 EFAULT (Bad address)"),
    row("write", 1, B, 0, line='write(1, "", 0)                         = 0'),
    row("write", 1, B + 4094, 2, memory=bytes(4094) + b"ab", result=2,
        line='write(1, "ab", 2)                       = 2'),
    row("write", 1, B + 4094, 3, memory=bytes(4094) + b"ab", result=-14,
        line="write(1, 0x10000ffe, 3)                 = -1 EFAULT (Bad address)"),
    row("read", 0, B, 4096, memory=b"hi\n", result=3,
        line=r'read(0, "hi\n", 4096)                   = 3'),
    row("read", 0, B, 4096, line='read(0, "", 4096)                       = 0'),
    row("read", 0, B, 4096, result=-11, line=(
            "read(0, 0x10000000, 4096)               = -1 EAGAIN (Resource temporarily "
            "unavailable)")),
    row("access", B, 0, memory=b"p" * 40,
        line='access("pppppppppppppppppppppppppppppppppppppppp", F_OK) = 0'),
    row("memfd_create", B, 1, memory=b"n" * 40, result=3,
        line='memfd_create("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"..., MFD_CLOEXEC) = 3'),
    row("memfd_create", B, 0, memory=b"n" * 32, result=3,
        line='memfd_create("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", 0) = 3'),
    row("readlink", B, B + 8, 20, memory=b"link" + bytes(4) + b"target", result=6,
        line='readlink("link", "target", 20)          = 6'),
    row("getcwd", B, 100, memory=b"/root\0", result=6,
        line='getcwd("/root", 100)                    = 6'),
    row("getcwd", B, 3, result=-34,line=(
            "getcwd(0x10000000, 3)                   = -1 ERANGE (Numerical "
            "result out of range)")),
    row("getrandom", B, 8, 1, memory=b"\1\2abc\xff", result=6,
        line=r'getrandom("\x01\x02\x61\x62\x63\xff", 8, GRND_NONBLOCK) = 6'),
    row("execve", B, B + 32, B + 64,
        memory=b"/bin/x".ljust(16, NUL) + b"arg".ljust(16, NUL) + words(B, B + 16, 0, 0) +
        words(B, B, 0), result=-2, line=(
            'execve("/bin/x", ["/bin/x", "arg"], 0x10000040 /* 2 vars */) = -1 ENOENT (No such '
            "file or directory)")),

    # numbers
    row("close", -1, result=-9,
        line="close(-1)                               = -1 EBADF (Bad file descriptor)"),
    row("lseek", 3, -5, 2, result=7, line="lseek(3, -5, SEEK_END)                  = 7"),
    row("lseek", 3, 0, 9, result=-22,
        line="lseek(3, 0, 0x9 /* SEEK_??? */)         = -1 EINVAL (Invalid argument)"),
    row("ftruncate", 3, -1, result=-22,
        line="ftruncate(3, 18446744073709551615)      = -1 EINVAL (Invalid argument)"),
    row("mkdir", B, 0o755, memory=b"d", line='mkdir("d", 0755)                        = 0'),
    row("mkdir", B, 7, memory=b"d", line='mkdir("d", 007)                         = 0'),
    row("umask", 0o22, result=0o22, line="umask(022)                              = 022"),
    row("umask", 0o22, line="umask(022)                              = 000"),
    row("setreuid", -1, 0, line="setreuid(-1, 0)                         = 0"),
    row("pause", result=-514, line=(
            "pause()                                 = ? ERESTARTNOHAND (To be restarted if no "
            "handler)")),
    row("brk", 0, result=0x55d000, line="brk(NULL)                               = 0x55d000"),
    row("set_tid_address", B, result=7, line="set_tid_address(0x10000000)             = 7"),
    row("rseq", B, 32, 0, 0x53053053, line="rseq(0x10000000, 0x20, 0, 0x53053053)   = 0"),

    # names and flags
    row("openat", -100, B, 0x80000, memory=b"/etc/passwd", result=-2, line=(
            'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or '
            "directory)")),
    row("openat", 3, B, 0o1101, 0o644, memory=b"f", result=4,
        line='openat(3, "f", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 4'),
    row("open", B, 3, memory=b"f", result=-22,
        line='open("f", O_ACCMODE)                    = -1 EINVAL (Invalid argument)'),
    row("open", B, 0o20200002, 0o600, memory=b"f", result=3,
        line='open("f", O_RDWR|O_TMPFILE, 0600)       = 3'),
    row("open", B, 0x80000000, memory=b"f", result=3,
        line='open("f", O_RDONLY|0x80000000)          = 3'),
    row("mmap", 0, 8192, 3, 0x22, -1, 0, result=0x7f0000000000, line=(
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = "
            "0x7f0000000000")),
    row("mmap", 0, 8192, 0, 0xf, 3, 4096, result=-22, line=(
            "mmap(NULL, 8192, PROT_NONE, 0xf /* MAP_??? */, 3, 0x1000) = -1 EINVAL (Invalid "
            "argument)")),
    row("mmap", 0, 4096, 5, 0x54022, -1, 0, result=-12, line=(
            "mmap(NULL, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_NO"
            "NBLOCK|MAP_HUGETLB, -1, 0) = -1 ENOMEM (Cannot allocate memory)")),
    row("mprotect", B, 4096, 0, line="mprotect(0x10000000, 4096, PROT_NONE)   = 0"),
    row("mremap", B, 1, 2, 1, result=B,
        line="mremap(0x10000000, 1, 2, MREMAP_MAYMOVE) = 0x10000000"),
    row("mremap", B, 1, 2, 3, B + 4096, result=B + 4096,
        line="mremap(0x10000000, 1, 2, MREMAP_MAYMOVE|MREMAP_FIXED, 0x10001000) = 0x10001000"),
    row("madvise", B, 4096, 4, line="madvise(0x10000000, 4096, MADV_DONTNEED) = 0"),
    row("madvise", B, 4096, 99, result=-22,
        line="madvise(0x10000000, 4096, 0x63 /* MADV_??? */) = -1 EINVAL (Invalid argument)"),
    row("msync", B, 1, 5, result=-22,
        line="msync(0x10000000, 1, MS_SYNC|MS_ASYNC)  = -1 EINVAL (Invalid argument)"),
    row("mincore", B, 12288, B, memory=b"\1\0\1",
        line="mincore(0x10000000, 12288, [1, 0, 1])   = 0"),
    row("access", B, 5, memory=b"f", line='access("f", R_OK|X_OK)                  = 0'),
    row("access", B, 9, memory=b"f", result=-22,
        line='access("f", X_OK|0x8)                   = -1 EINVAL (Invalid argument)'),
    row("faccessat2", -100, B, 0, 0x200, memory=b"f",
        line='faccessat2(AT_FDCWD, "f", F_OK, AT_EACCESS) = 0'),
    row("unlinkat", 3, B, 0x200, memory=b"f", line='unlinkat(3, "f", AT_REMOVEDIR)          = 0'),
    row("clone", 0x1200011, 0, 0, B + 16, 0, result=9, line=(
            "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, "
            "child_tidptr=0x10000010) = 9")),
    row("clone", 0x3D0F00, B, B, B, B, memory=words(9), result=9, line=(
            "clone(child_stack=0x10000000, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLON"
            "E_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, "
            "parent_tid=[9], tls=0x10000000, child_tidptr=0x10000000) = 9")),
    row("clone", 0x100000011, 0, 0, 0, 0, result=-22, line=(
            "clone(child_stack=NULL, flags=0x100000000 /* CLONE_??? */|SIGCHLD) = -1 EINVAL "
            "(Invalid argument)")),
    row("prctl", 15, B, memory=b"name", line='prctl(PR_SET_NAME, "name")              = 0'),
    row("prctl", 99, 1, 0, 2, 3, result=-22,
        line="prctl(0x63 /* PR_??? */, 0x1, 0, 0x2, 0x3) = -1 EINVAL (Invalid argument)"),
    row("prctl", 38, 1, 0, 0, 0, line="prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  = 0"),
    row("prctl", 3, result=1,
        line="prctl(PR_GET_DUMPABLE)                  = 1 (SUID_DUMP_USER)"),
    row("arch_prctl", 0x1002, B, line="arch_prctl(ARCH_SET_FS, 0x10000000)     = 0"),
    row("arch_prctl", 0x1003, B, memory=words(0x1234),
        line="arch_prctl(ARCH_GET_FS, [0x1234])       = 0"),
    row("futex", B, 128, 1, 0, line="futex(0x10000000, FUTEX_WAIT_PRIVATE, 1, NULL) = 0"),
    row("futex", B, 0x189, 1, 0, 0, -1, result=-110, line=(
            "futex(0x10000000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 1, NULL, "
            "FUTEX_BITSET_MATCH_ANY) = -1 ETIMEDOUT (Connection timed out)")),
    row("futex", B, 5, 1, 2, B + 4, 0x0A0010C8, result=1, line=(
            "futex(0x10000000, FUTEX_WAKE_OP, 1, 2, 0x10000004, FUTEX_OP_SET<<28|0x1<<12|0xa<<24 "
            "/* FUTEX_OP_CMP_??? */|0xc8) = 1")),
    row("membarrier", 0, 0, result=9, line=(
            "membarrier(MEMBARRIER_CMD_QUERY, 0)     = 0x9 (MEMBARRIER_CMD_GLOBAL|MEMBARRIER_CMD_"
            "PRIVATE_EXPEDITED)")),
    row("setns", 3, 0x20000, line="setns(3, CLONE_NEWNS)                   = 0"),

    # structures
    row("newfstatat", 1, B, B + 8, 0x1000, memory=bytes(8) + stat(0o020620, 0x501), line=(
            'newfstatat(1, "", {st_mode=S_IFCHR|0620, st_rdev=makedev(0x5, 0x1), ...}, '
            "AT_EMPTY_PATH) = 0")),
    row("fstat", 3, B, memory=stat(0o100644),
        line="fstat(3, {st_mode=S_IFREG|0644, st_size=5, ...}) = 0"),
    row("fstat", 3, B, memory=stat(0o104755),
        line="fstat(3, {st_mode=S_IFREG|S_ISUID|0755, st_size=5, ...}) = 0"),
    row("fstat", 3, B, memory=stat(0o041777),
        line="fstat(3, {st_mode=S_IFDIR|S_ISVTX|0777, st_size=5, ...}) = 0"),
    row("fstat", 3, B, memory=stat(0o170000),
        line="fstat(3, {st_mode=0170000, st_size=5, ...}) = 0"),
    row("fstat", 3, B, result=-9,
        line="fstat(3, 0x10000000)                    = -1 EBADF (Bad file descriptor)"),
    row("fstat", 3, 0, result=-14,
        line="fstat(3, NULL)                          = -1 EFAULT (Bad address)"),
    row("stat", B, B + 4096, memory=b"f", line='stat("f", 0x10001000)                   = 0'),
    row("statx", -100, B, 0x100, 0xfff, B + 8,
        memory=b"f".ljust(8, NUL) +
        pack("<IIQIIIHHQQ", 0x17ff, 4096, 0x24, 1, 0, 0, 0o100644, 0, 7, 5) + bytes(240), line=(
            'statx(AT_FDCWD, "f", AT_STATX_SYNC_AS_STAT|AT_SYMLINK_NOFOLLOW, STATX_ALL, '
            "{stx_mask=STATX_BASIC_STATS|STATX_MNT_ID, stx_attributes=STATX_ATTR_COMPRESSED|STATX"
            "_ATTR_APPEND, stx_mode=S_IFREG|0644, stx_size=5, ...}) = 0")),
    row("statfs", B, B + 8,
        memory=b"/".ljust(8, NUL) +
        words(0x1021994, 4096, 9, 8, 7, 6, 5, 0, 255, 4096, 0x20, 0, 0, 0, 0), line=(
            'statfs("/", {f_type=TMPFS_MAGIC, f_bsize=4096, f_blocks=9, f_bfree=8, f_bavail=7, '
            "f_files=6, f_ffree=5, f_fsid={val=[0, 0]}, f_namelen=255, f_frsize=4096, "
            "f_flags=ST_VALID}) = 0")),
    row("getdents64", 3, B, 200, memory=(pack("<QqHB", 1, 1, 24, 4) + b".".ljust(5, NUL)) * 2,
        result=48, line="getdents64(3, 0x10000000 /* 2 entries */, 200) = 48"),
    row("uname", B, memory=b"Linux".ljust(65, NUL) + b"ringlet".ljust(325, NUL),
        line='uname({sysname="Linux", nodename="ringlet", ...}) = 0'),
    row("prlimit64", 0, 3, 0, B, memory=words(8 << 20, -1),line=(
            "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, "
            "rlim_max=RLIM64_INFINITY}) = 0")),
    row("setrlimit", 7, B, memory=words(1024, 1025),
        line="setrlimit(RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=1025}) = 0"),
    row("getrusage", 0, B, memory=words(1, 2, 3, 4) + bytes(112), line=(
            "getrusage(RUSAGE_SELF, {ru_utime={tv_sec=1, tv_usec=2}, ru_stime={tv_sec=3, "
            "tv_usec=4}, ...}) = 0")),
    row("wait4", -1, B, 1, 0, memory=words(0x300), result=9,
        line="wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WNOHANG, NULL) = 9"),
    row("wait4", -1, B, 0, 0, memory=words(0x8b), result=9,line=(
            "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && "
            "WCOREDUMP(s)}], 0, NULL) = 9")),
    row("wait4", -1, B, 2, B + 8, memory=words(0x137f, 1, 2, 3, 4) + bytes(112), result=9, line=(
            "wait4(-1, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], WSTOPPED, "
            "{ru_utime={tv_sec=1, tv_usec=2}, ru_stime={tv_sec=3, tv_usec=4}, ...}) = 9")),
    row("wait4", -1, B, 8, 0, memory=words(0xffff), result=9,
        line="wait4(-1, [{WIFCONTINUED(s)}], WCONTINUED, NULL) = 9"),
    row("wait4", -1, B, 1, 0, line="wait4(-1, 0x10000000, WNOHANG, NULL)    = 0"),
    row("sysinfo", B, memory=words(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) + pack("<H6xQQI", 11, 12, 13, 1),
        line=(
            "sysinfo({uptime=1, loads=[2, 3, 4], totalram=5, freeram=6, sharedram=7, "
            "bufferram=8, totalswap=9, freeswap=10, procs=11, totalhigh=12, freehigh=13, "
            "mem_unit=1}) = 0")),
    row("times", B, memory=words(1, 250, 0, 0), result=77, line=(
            "times({tms_utime=1 /* 0.01 s */, tms_stime=250 /* 2.50 s */, tms_cutime=0, "
            "tms_cstime=0}) = 77")),
    row("sched_getaffinity", 0, 128, B, memory=words(0x8000000000000005), result=8,
        line="sched_getaffinity(0, 128, [0 2 63])     = 8"),
    row("getgroups", 3, B, memory=pack("<3I", 0, 5, 0xffffffff), result=3,
        line="getgroups(3, [0, 5, -1])                = 3"),
    row("getresuid", B, B + 4, B + 8, memory=pack("<3I", 0, 5, 0xffffffff),
        line="getresuid([0], [5], [-1])               = 0"),
    row("sigaltstack", B, B + 24, memory=words(B, 1, 8192, 0, 2, 0), line=(
            "sigaltstack({ss_sp=0x10000000, ss_flags=SS_ONSTACK, ss_size=8192}, {ss_sp=NULL, "
            "ss_flags=SS_DISABLE, ss_size=0}) = 0")),
    row("clone3", B, 88,
        memory=words(0x101100, B + 96, 0, B + 100, 17, B, 4096, 0, 0, 0, 0) + bytes(8) +
        pack("<II", 3, 9), result=9, line=(
            "clone3({flags=CLONE_VM|CLONE_PIDFD|CLONE_PARENT_SETTID, pidfd=0x10000060, "
            "parent_tid=0x10000064, exit_signal=SIGCHLD, stack=0x10000000, stack_size=0x1000} => "
            "{pidfd=[3], parent_tid=[9]}, 88) = 9")),

    # arrays
    row("writev", 1, B + 64, 2, memory=b"hello world".ljust(64, NUL) + words(B, 3, B + 3, 40),
        result=43, line=(
            r'writev(1, [{iov_base="hel", iov_len=3}, {iov_base="lo world\0\0\0\0\0\0\0\0\0\0\0\0'
            r'\0\0\0\0\0\0\0\0\0\0\0\0"..., iov_len=40}], 2) = 43')),
    row("readv", 0, B + 64, 3, memory=b"hello world".ljust(64, NUL) + words(B, 3, B + 3, 40, B, 9),
        result=5, line=(
            'readv(0, [{iov_base="hel", iov_len=3}, {iov_base="lo", iov_len=40}, {iov_base="", '
            "iov_len=9}], 3) = 5")),
    row("readv", 0, B + 64, 2, memory=bytes(64) + words(B, 3, 5, 40), result=-9, line=(
            "readv(0, [{iov_base=0x10000000, iov_len=3}, {iov_base=0x5, iov_len=40}], 2) = -1 "
            "EBADF (Bad file descriptor)")),
    row("writev", 1, 0, 2, result=-14,
        line="writev(1, NULL, 2)                      = -1 EFAULT (Bad address)"),
    row("writev", 1, B, 0, line="writev(1, [], 0)                        = 0"),
    row("writev", 1, B, -1, result=-22,
        line="writev(1, 0x10000000, 18446744073709551615) = -1 EINVAL (Invalid argument)"),
    row("pipe", B, memory=pack("<II", 3, 4), line="pipe([3, 4])                            = 0"),
    row("pipe2", B, 0x80800, memory=pack("<II", 3, 4), result=-24,
        line="pipe2(0x10000000, O_NONBLOCK|O_CLOEXEC) = -1 EMFILE (Too many open files)"),
    row("poll", B + 4080, 3, 0, memory=bytes(4080) + pack("<iHHiHH", 0, 1, 1, -1, 4, 0),
        line="poll([{fd=0, events=POLLIN}, {fd=-1}, ... /* 0x10001000 */], 3, 0) = 0 (Timeout)"),
    row("poll", B, 40, 0, memory=pack("<iHH", 1, 4, 0) * 40, line=(
            "poll([{fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, "
            "{fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, events=POLLOUT}, {fd=1, "
            "events=POLLOUT}, {fd=1, events=POLLOUT}, ...], 40, 0) = 0 (Timeout)")),

    # waiting
    row("poll", B, 2, -1, memory=pack("<iHHiHH", 0, 5, 4, 7, 1, 16), result=2, line=(
            "poll([{fd=0, events=POLLIN|POLLOUT}, {fd=7, events=POLLIN}], 2, -1) = 2 ([{fd=0, "
            "revents=POLLOUT}, {fd=7, revents=POLLHUP}])")),
    row("poll", B, 1, 5, memory=pack("<iHH", 0, 1, 0),
        line="poll([{fd=0, events=POLLIN}], 1, 5)     = 0 (Timeout)"),
    row("ppoll", B, 1, B + 8, 0, 8, memory=pack("<iHH", 0, 1, 1) + words(1, 5), result=1, line=(
            "ppoll([{fd=0, events=POLLIN}], 1, {tv_sec=1, tv_nsec=5}, NULL, 8) = 1 ([{fd=0, "
            "revents=POLLIN}], left {tv_sec=1, tv_nsec=5})")),
    row("select", 16, B, B + 8, 0, B + 16, memory=words(0x8009, 2, 1, 5), result=2, line=(
            "select(16, [0 3 15], [1], NULL, {tv_sec=1, tv_usec=5}) = 2 (in [0 3], left "
            "{tv_sec=1, tv_usec=5})")),
    row("select", 4, 0, 0, B, 0, memory=words(9),
        line="select(4, NULL, NULL, [0 3], NULL)      = 0 (Timeout)"),
    row("pselect6", 8, B, 0, 0, 0, B + 8, memory=words(5, B + 24, 8, 2), result=1,
        line="pselect6(8, [0 2], NULL, NULL, NULL, {sigmask=[INT], sigsetsize=8}) = 1 (in [0])"),
    row("epoll_wait", 5, B, 10, -1, memory=pack("<IQIQ", 1, 3, 0x80000014, 0x100000003), result=2,
        line=(
            "epoll_wait(5, [{events=EPOLLIN, data={u32=3, u64=3}}, {events=EPOLLOUT|EPOLLHUP|EPOL"
            "LET, data={u32=3, u64=4294967299}}], 10, -1) = 2")),
    row("epoll_ctl", 5, 1, 6, B, memory=pack("<IQ", 1, 6),
        line="epoll_ctl(5, EPOLL_CTL_ADD, 6, {events=EPOLLIN, data={u32=6, u64=6}}) = 0"),
    row("epoll_ctl", 5, 2, 6, B, line="epoll_ctl(5, EPOLL_CTL_DEL, 6, 0x10000000) = 0"),
    row("nanosleep", B, B + 16, memory=words(1, 500, 2, 3),
        line="nanosleep({tv_sec=1, tv_nsec=500}, 0x10000010) = 0"),
    row("clock_nanosleep", 1, 0, B, B + 16, memory=words(1, 500, 2, 3), result=-516, line=(
            "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=1, tv_nsec=500}, {tv_sec=2, tv_nsec=3}) "
            "= ? ERESTART_RESTARTBLOCK (Interrupted by signal)")),
    row("clock_gettime", 1, B, memory=words(1, 2),
        line="clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=2}) = 0"),
    row("clock_gettime", 77, B, result=-22,
        line="clock_gettime(0x4d /* CLOCK_??? */, 0x10000000) = -1 EINVAL (Invalid argument)"),
    row("gettimeofday", B, 0, memory=words(-1, 2),
        line="gettimeofday({tv_sec=-1, tv_usec=2}, NULL) = 0"),
    row("time", B, memory=words(1700000000), result=1700000000, line=(
            "time([1700000000 /* 2023-11-14T22:13:20+0000 */]) = 1700000000 "
            "(2023-11-14T22:13:20+0000)")),
    row("utimensat", -100, B, B + 8, 0,
        memory=b"f".ljust(8, NUL) + words(1700000000, 5, 0, (1 << 30) - 2), line=(
            'utimensat(AT_FDCWD, "f", [{tv_sec=1700000000, tv_nsec=5} /* '
            "2023-11-14T22:13:20.000000005+0000 */, UTIME_OMIT], 0) = 0")),
    row("setitimer", 0, B, 0, memory=words(1, 2, 3, 4), line=(
            "setitimer(ITIMER_REAL, {it_interval={tv_sec=1, tv_usec=2}, it_value={tv_sec=3, "
            "tv_usec=4}}, NULL) = 0")),
    row("timer_create", 1, B, B + 64, memory=pack("<Qii", 5, 10, 0) + bytes(48) + pack("<I", 3),
        line=(
            "timer_create(CLOCK_MONOTONIC, {sigev_value={sival_int=5, sival_ptr=0x5}, "
            "sigev_signo=SIGUSR1, sigev_notify=SIGEV_SIGNAL}, [3]) = 0")),

    # signals
    row("rt_sigaction", 10, B, 0, 8, memory=words(0x1234, 0x14000004, 0x5678, 2), line=(
            "rt_sigaction(SIGUSR1, {sa_handler=0x1234, sa_mask=[INT], "
            "sa_flags=SA_RESTORER|SA_RESTART|SA_SIGINFO, sa_restorer=0x5678}, NULL, 8) = 0")),
    row("rt_sigaction", 65, 0, B, 8, result=-22,
        line="rt_sigaction(65, NULL, 0x10000000, 8)   = -1 EINVAL (Invalid argument)"),
    row("rt_sigaction", 33, 0, B, 8, memory=words(1, 0, 0, -1),
        line="rt_sigaction(SIGRT_1, NULL, {sa_handler=SIG_IGN, sa_mask=~[], sa_flags=0}, 8) = 0"),
    row("rt_sigprocmask", 0, B, B + 8, 8, memory=words(0x4002, 0x80000000),
        line="rt_sigprocmask(SIG_BLOCK, [INT TERM], [RTMIN], 8) = 0"),
    row("rt_sigprocmask", 9, B, 0, 4, result=-22, line=(
            "rt_sigprocmask(0x9 /* SIG_??? */, 0x10000000, NULL, 4) = -1 EINVAL (Invalid "
            "argument)")),
    row("rt_sigsuspend", B, 8, memory=words((1 << 42) - 1), result=-514, line=(
            "rt_sigsuspend(~[RT_11 RT_12 RT_13 RT_14 RT_15 RT_16 RT_17 RT_18 RT_19 RT_20 RT_21 "
            "RT_22 RT_23 RT_24 RT_25 RT_26 RT_27 RT_28 RT_29 RT_30 RT_31 RT_32], 8) = ? "
            "ERESTARTNOHAND (To be restarted if no handler)")),
    row("kill", 7, 9, line="kill(7, SIGKILL)                        = 0"),
    row("tgkill", 7, 8, 64, line="tgkill(7, 8, SIGRT_32)                  = 0"),
    row("kill", 7, 0, line="kill(7, 0)                              = 0"),
    row("rt_sigtimedwait", B, B + 8, 0, 8,
        memory=words(2) + pack("<iiiiiI", 10, 0, 0, 0, 77, 1000).ljust(128, NUL), result=10, line=(
            "rt_sigtimedwait([INT], {si_signo=SIGUSR1, si_code=SI_USER, si_pid=77, si_uid=1000}, "
            "NULL, 8) = 10 (SIGUSR1)")),
    row("rt_sigqueueinfo", 7, 17, B,
        memory=pack("<iiiiiIi4xQQ", 17, 0, 1, 0, 77, 0, 3, 7, 0).ljust(128, NUL), line=(
            "rt_sigqueueinfo(7, SIGCHLD, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=77, "
            "si_uid=0, si_status=3, si_utime=7 /* 0.07 s */, si_stime=0}) = 0")),
    row("rt_sigqueueinfo", 7, 11, B, memory=pack("<iiiiQ", 11, 0, 1, 0, 0x1234).ljust(128, NUL),
        line=(
            "rt_sigqueueinfo(7, SIGSEGV, {si_signo=SIGSEGV, si_code=SEGV_MAPERR, "
            "si_addr=0x1234}) = 0")),
    row("rt_sigqueueinfo", 7, 10, B,
        memory=pack("<iiiiiIQ", 10, 5, -1, 0, 77, 1000, 6).ljust(128, NUL), line=(
            "rt_sigqueueinfo(7, SIGUSR1, {si_signo=SIGUSR1, si_code=SI_QUEUE, si_errno=EIO, "
            "si_pid=77, si_uid=1000, si_int=6, si_ptr=0x6}) = 0")),

    # fcntl and ioctl
    row("fcntl", 3, 1, result=1,
        line="fcntl(3, F_GETFD)                       = 0x1 (flags FD_CLOEXEC)"),
    row("fcntl", 3, 1, line="fcntl(3, F_GETFD)                       = 0"),
    row("fcntl", 3, 2, 1, line="fcntl(3, F_SETFD, FD_CLOEXEC)           = 0"),
    row("fcntl", 3, 3, result=0x8802, line=(
            "fcntl(3, F_GETFL)                       = 0x8802 (flags "
            "O_RDWR|O_NONBLOCK|O_LARGEFILE)")),
    row("fcntl", 3, 4, 0x800, line="fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK)  = 0"),
    row("fcntl", 3, 0, 10, result=10, line="fcntl(3, F_DUPFD, 10)                   = 10"),
    row("fcntl", 3, 5, B, memory=pack("<HH4xqqI4x", 1, 0, 5, 10, 77), line=(
            "fcntl(3, F_GETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=5, l_len=10, "
            "l_pid=77}) = 0")),
    row("fcntl", 3, 1034, result=9,
        line="fcntl(3, F_GET_SEALS)                   = 0x9 (seals F_SEAL_SEAL|F_SEAL_WRITE)"),
    row("fcntl", 3, 77, 5, result=-22,
        line="fcntl(3, 0x4d /* F_??? */, 0x5)         = -1 EINVAL (Invalid argument)"),
    row("ioctl", 0, 0x5401, B, memory=pack("<4I", 0x500, 5, 0xbf, 0x8a3b) + bytes(20), line=(
            "ioctl(0, TCGETS, {c_iflag=ICRNL|IXON, c_oflag=NL0|CR0|TAB0|BS0|VT0|FF0|OPOST|ONLCR, "
            "c_cflag=B38400|CS8|CREAD, c_lflag=ISIG|ICANON|ECHO|ECHOE|ECHOK|IEXTEN|ECHOCTL|ECHOKE"
            ", ...}) = 0")),
    row("ioctl", 0, 0x5401, B, result=-25, line=(
            "ioctl(0, TCGETS, 0x10000000)            = -1 ENOTTY (Inappropriate "
            "ioctl for device)")),
    row("ioctl", 1, 0x5413, B, memory=pack("<4H", 24, 80, 0, 0),
        line="ioctl(1, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0"),
    row("ioctl", 0, 0x541b, B, memory=pack("<i", -4),
        line="ioctl(0, FIONREAD, [-4])                = 0"),
    row("ioctl", 3, 0x5451, line="ioctl(3, FIOCLEX)                       = 0"),
    row("ioctl", 3, 0xdeadbeef, 5, result=-25, line=(
            "ioctl(3, _IOC(_IOC_READ|_IOC_WRITE, 0xbe, 0xef, 0x1ead), 0x5) = -1 ENOTTY "
            "(Inappropriate ioctl for device)")),

    # semaphores
    row("semget", 0, 1, 0o1600, result=3, line="semget(IPC_PRIVATE, 1, IPC_CREAT|0600)  = 3"),
    row("semget", 0x1234, 3, 0o3000, result=-17,
        line="semget(0x1234, 3, IPC_CREAT|IPC_EXCL|000) = -1 EEXIST (File exists)"),
    row("semget", -1, -1, 0o10600, result=-22,
        line="semget(0xffffffff, -1, 0x10000600)      = -1 EINVAL (Invalid argument)"),
    row("semget", 5, 2, -1, result=-2, line=(
            "semget(0x5, 2, IPC_CREAT|IPC_EXCL|IPC_NOWAIT|0xfffff000|0777) = -1 ENOENT (No such "
            "file or directory)")),
    row("semop", 3, B, 2, memory=pack("<HhHHhH", 0, -1, 0x1800, 65535, 32767, 1), line=(
            "semop(3, [{sem_num=0, sem_op=-1, sem_flg=SEM_UNDO|IPC_NOWAIT}, {sem_num=65535, "
            "sem_op=32767, sem_flg=0x1 /* SEM_??? */}], 2) = 0")),
    row("semop", 3, B + 4090, 2, memory=bytes(4096), result=-14, line=(
            "semop(3, [{sem_num=0, sem_op=0, sem_flg=0}, ... /* 0x10001000 */], 2) = -1 EFAULT "
            "(Bad address)")),
    row("semop", 3, 8, 0, result=-22, line=(
            "semop(3, [], 0)                         = -1 EINVAL (Invalid argument)")),
    row("semtimedop", 3, B, 1, B + 8, memory=pack("<HhH2xqq", 1, -1, 0, 2, 500), result=-11, line=(
            "semtimedop(3, [{sem_num=1, sem_op=-1, sem_flg=0}], 1, {tv_sec=2, tv_nsec=500}) = -1 "
            "EAGAIN (Resource temporarily unavailable)")),
    row("semctl", 3, 0, 0, line="semctl(3, 0, IPC_RMID, NULL)            = 0"),
    row("semctl", 3, 1, 16, 5, line="semctl(3, 1, SETVAL, 0x5)               = 0"),
    row("semctl", 3, 1, 0x10c, 0, result=-22,
        line="semctl(3, 1, IPC_64|GETVAL, NULL)       = -1 EINVAL (Invalid argument)"),
    row("semctl", 3, 1, 77, B, result=-22,
        line="semctl(3, 1, 0x4d /* SEM_??? */, 0x10000000) = -1 EINVAL (Invalid argument)"),
    row("semctl", 3, 0, 1, B, memory=pack("<i5I", 5, 1000, -1 & 0xFFFF_FFFF, 7, 8, 0), result=-1,
        line=(
            "semctl(3, 0, IPC_SET, {sem_perm={uid=1000, gid=-1, mode=000}}) = -1 EPERM (Operation "
            "not permitted)")),
    row("semctl", 3, 0, 2, B, memory=pack("<i5IH22xqqqqQ", 5, 1, 2, 3, 4, 0o600, 7, 8, 0, -9, 0, 6),
        line=(
            "semctl(3, 0, IPC_STAT, {sem_perm={uid=1, gid=2, mode=0600, key=5, cuid=3, cgid=4}, "
            "sem_otime=8, sem_ctime=18446744073709551607, sem_nsems=6}) = 0")),
    row("semctl", 3, 0, 2, B, result=-22,
        line="semctl(3, 0, IPC_STAT, 0x10000000)      = -1 EINVAL (Invalid argument)"),
    row("semctl", 0, 0, 3, B, memory=pack("<10i", *range(9), -1), result=4, line=(
            "semctl(0, 0, IPC_INFO, {semmap=0, semmni=1, semmns=2, semmnu=3, semmsl=4, semopm=5, "
            "semume=6, semusz=7, semvmx=8, semaem=-1}) = 4")),

    # calls that are not decoded, or not there
    row("create_module", 1, 2, result=-38,
        line="create_module(0x1, 0x2)                 = -1 ENOSYS (Function not implemented)"),
    row(1000, 1, 0, 2, 3, 4, 5, result=-38,
        line="syscall_0x3e8(0x1, 0, 0x2, 0x3, 0x4, 0x5) = -1 ENOSYS (Function not implemented)"),
    row("sendfile", 3, 4, B, 5, memory=words(7), result=5,
        line="sendfile(3, 4, [7] => [7], 5)           = 5"),
]

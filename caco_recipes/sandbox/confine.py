"""Confinement of one Linux process, by ctypes alone: namespaces, Landlock, seccomp, capabilities, resource limits.

What comes in is plain data (paths, flags); what goes out is either a confined process or a `Refused` that names the
kernel feature which is not to be had. Nothing here falls back by itself: the caller asks for a level and gets it whole
or not at all.

    strict    user, mount, pid, net, ipc, uts namespaces (once per worker) with a bare read-only root,
              Landlock, seccomp allow-list, no capabilities, resource limits
    standard  the same without namespaces (default Docker, Ubuntu 24.04 users, many Slurm sites)
    basic     seccomp allow-list with read-only opens, no capabilities, resource limits: files can be read
    unsafe    resource limits only; the one level outside Linux

The module is loaded by the stand-alone fork server too, so it imports the standard library only.
Tables: Linux UAPI headers (asm/unistd_64.h, asm-generic/unistd.h, linux/{seccomp,bpf_common,landlock,sched}.h).
"""

import ctypes
import errno
import os
import platform
import struct
import sys

LEVELS = ("strict", "standard", "basic", "unsafe")


class Refused(Exception):
    """A kernel feature that the asked level needs is not to be had; the text says which and why."""


# ------------------------------------------------------------------------------------------------ libc

_libc = None


def libc() -> ctypes.PyDLL:
    """The C library, loaded on first use: importing this module must work where there is no such library.

    `PyDLL` keeps the GIL held during a call: a fork through it gives a child that still owns the interpreter.
    """
    global _libc
    if _libc is None:
        _libc = ctypes.PyDLL(None, use_errno=True)
    return _libc


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise Refused(f"{what}: {errno.errorcode.get(code, code)} ({os.strerror(code)})")
    return result


def _syscall(name: str, *args) -> int:
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return libc().syscall(ctypes.c_long(NUMBERS[name]), *converted)


# ------------------------------------------------------------------------------------------------ system calls

_MACHINE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower(), ""
)
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, aarch64); 0 where the architecture has no such call
_TABLE = {
    "read": (0, 63), "write": (1, 64), "open": (2, -1), "close": (3, 57), "stat": (4, -1), "fstat": (5, 80),
    "lstat": (6, -1), "poll": (7, -1), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "access": (21, -1), "pipe": (22, -1), "select": (23, -1), "sched_yield": (24, 124),
    "mremap": (25, 216), "msync": (26, 227), "mincore": (27, 232), "madvise": (28, 233), "dup": (32, 23),
    "dup2": (33, -1), "pause": (34, -1), "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, -1),
    "setitimer": (38, 103), "getpid": (39, 172), "sendto": (44, 206), "recvfrom": (45, 207),
    "socketpair": (53, 199), "clone": (56, 220), "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221),
    "exit": (60, 93), "wait4": (61, 260), "uname": (63, 160), "fcntl": (72, 25), "ftruncate": (77, 46),
    "getcwd": (79, 17), "chdir": (80, 49), "readlink": (89, -1), "gettimeofday": (96, 169), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "getpgrp": (111, -1), "setsid": (112, 157),
    "getgroups": (115, 158), "getresuid": (118, 148), "getresgid": (120, 150), "getpgid": (121, 155),
    "getsid": (124, 156), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "getpriority": (140, 141), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "pivot_root": (155, 41), "prctl": (157, 167), "setrlimit": (160, 164), "gettid": (186, 178), "time": (201, -1),
    "futex": (202, 98), "sched_getaffinity": (204, 123), "epoll_create": (213, -1), "getdents64": (217, 61),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "epoll_wait": (232, -1),
    "epoll_ctl": (233, 21), "waitid": (247, 95), "openat": (257, 56), "newfstatat": (262, 79),
    "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "set_robust_list": (273, 99), "get_robust_list": (274, 100), "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59), "prlimit64": (302, 261),
    "getcpu": (309, 168), "seccomp": (317, 277), "getrandom": (318, 278), "membarrier": (324, 283),
    "statx": (332, 291), "rseq": (334, 293), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "clone3": (435, 435), "close_range": (436, 436), "openat2": (437, 437), "faccessat2": (439, 439),
    "mount_setattr": (442, 442), "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446), "futex_waitv": (449, 449), "epoll_pwait2": (441, 441),
}  # fmt: skip
_COLUMN = 0 if _MACHINE != "aarch64" else 1
NUMBERS = {name: row[_COLUMN] for name, row in _TABLE.items() if row[_COLUMN] >= 0}

# What a program may call freely. Each name was put here because CPython, numpy or sympy calls it or because it can
# only read what the process may know anyway.
_ALLOWED = (
    "read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask "
    "rt_sigreturn pread64 pwrite64 readv writev access pipe select sched_yield mremap msync mincore madvise dup dup2 "
    "pause nanosleep getitimer alarm setitimer getpid recvfrom exit uname getcwd chdir readlink "
    "gettimeofday getrlimit getrusage sysinfo times getuid getgid geteuid getegid getppid getpgrp getgroups "
    "getresuid getresgid getpgid getsid rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack getpriority "
    "sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min gettid time "
    "futex sched_getaffinity epoll_create getdents64 set_tid_address restart_syscall clock_gettime clock_getres "
    "clock_nanosleep exit_group epoll_wait epoll_ctl openat newfstatat readlinkat faccessat pselect6 ppoll "
    "set_robust_list get_robust_list epoll_pwait eventfd2 epoll_create1 dup3 pipe2 getcpu getrandom membarrier statx "
    "rseq faccessat2 ftruncate close_range futex_waitv epoll_pwait2"
).split()
# What only the fork server may call. Its children take these away from themselves (`child_filter`). `setrlimit` is the
# old call: the C library's function of that name makes `prlimit64`.
_SERVER_ONLY = ("wait4", "waitid", "pidfd_open", "pidfd_send_signal", "prctl", "seccomp", "setsid", "setrlimit")
# Newer calls for which the C library has an older way: "not there" makes it use that.
_NOT_THERE = ("clone3", "openat2")

_CLONE_THREAD_SET = 0x00010000 | 0x00000100 | 0x00000800  # THREAD | VM | SIGHAND
_CLONE_NEW = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000 | 0x00000080

# ------------------------------------------------------------------------------------------------ seccomp

_LD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NR, _ARCH, _ARG0 = 0, 4, 16


def _op(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jt, jf, k & 0xFFFFFFFF)


def _low(argument: int) -> bytes:
    return _op(_LD, _ARG0 + 8 * argument)


def _high(argument: int) -> bytes:
    return _op(_LD, _ARG0 + 8 * argument + 4)


def _refuse(code: int = errno.EPERM) -> bytes:
    return _op(_RET, _ERRNO | code)


_PERMIT = _op(_RET, _ALLOW)


def _rule(name: str, body: bytes) -> bytes:
    """`body` (which ends in a return) for the system call `name`; the accumulator holds the number before and after."""
    if name not in NUMBERS:
        return b""
    return _op(_JEQ, NUMBERS[name], 0, len(body) // 8) + body


def _one_of(argument: int, values: tuple[int, ...]) -> bytes:
    """Permit when the low half of `argument` is one of `values`, refuse otherwise."""
    out = _low(argument)
    for value in values:
        out += _op(_JEQ, value, 0, 1) + _PERMIT
    return out + _refuse()


def _is_zero(argument: int) -> bytes:
    return _low(argument) + _op(_JEQ, 0, 0, 3) + _high(argument) + _op(_JEQ, 0, 0, 1) + _PERMIT + _refuse()


def _own_limits() -> bytes:
    """Own limits only: those of the server carry the same user id. Not that of CPU time: a process that goes beyond a
    lowered one is killed by the kernel, which looks as if somebody outside had done it."""
    out = _low(0) + _op(_JEQ, 0, 0, 9) + _high(0) + _op(_JEQ, 0, 0, 7)  # process 0: oneself
    out += _low(1) + _op(_JEQ, 0, 0, 4)  # RLIMIT_CPU may be read: its new value is a null pointer then
    out += _low(2) + _op(_JEQ, 0, 0, 3) + _high(2) + _op(_JEQ, 0, 0, 1)
    return out + _PERMIT + _refuse()


def _head() -> bytes:
    """Any other architecture (int 0x80, x32) kills the process: its numbers mean other calls."""
    out = _op(_LD, _ARCH) + _op(_JEQ, _AUDIT_ARCH[_MACHINE], 1, 0) + _op(_RET, _KILL) + _op(_LD, _NR)
    if _MACHINE == "x86_64":
        out += _op(_JGE, 0x40000000, 0, 1) + _op(_RET, _KILL)
    return out


def server_filter(read_only_opens: bool) -> bytes:
    """BPF of the allow-list, installed once per fork server and inherited by every program.

    `read_only_opens` refuses opening for writing (levels without Landlock).
    """
    out = _head()
    for name in _ALLOWED:
        if read_only_opens and name in ("open", "openat"):
            argument = 1 if name == "open" else 2
            forbidden = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (1 << 22)  # O_TMPFILE's bit
            out += _rule(name, _low(argument) + _op(_JSET, forbidden, 0, 1) + _refuse() + _PERMIT)
        elif read_only_opens and name == "ftruncate":
            continue
        else:
            out += _rule(name, _PERMIT)
    if read_only_opens:
        out += _rule("ftruncate", _PERMIT)
    for name in _SERVER_ONLY:
        out += _rule(name, _PERMIT)
    # A clone is a thread, or the server's and the forker's own plain fork; never a namespace, never a traced child.
    out += _rule("clone", _low(0) + _op(_JSET, _CLONE_NEW | 0x00002000, 0, 1) + _refuse() + _PERMIT)
    # asyncio's self-pipe: a connected local pair. No socket(), connect(), bind(), sendmsg().
    out += _rule("socketpair", _one_of(0, (1,)))
    out += _rule("sendto", _is_zero(4))
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX. TIOCSTI and friends are not among them.
    out += _rule("ioctl", _one_of(1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5451, 0x5450)))
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. No leases, owners, seals or pipe sizes.
    out += _rule("fcntl", _one_of(1, (0, 1, 2, 3, 4, 1030)))
    out += _rule("prlimit64", _own_limits())
    for name in _NOT_THERE:
        out += _rule(name, _refuse(errno.ENOSYS))
    return out + _refuse()


def child_filter() -> bytes:
    """BPF that a program's process adds: takes away what only the fork server may do. Small, for it is paid each time."""
    names = [name for name in _SERVER_ONLY if name in NUMBERS]
    out = _op(_LD, _NR)
    clone = _op(_LD, _ARG0) + _op(_AND, _CLONE_THREAD_SET) + _op(_JEQ, _CLONE_THREAD_SET, 0, 1) + _PERMIT + _refuse()
    out += _op(_JEQ, NUMBERS["clone"], 0, len(clone) // 8) + clone
    for position, name in enumerate(names):
        out += _op(_JEQ, NUMBERS[name], len(names) - position, 0)
    return out + _PERMIT + _refuse()


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Filter:
    """A BPF program laid out in memory once, to be installed with one system call."""

    def __init__(self, code: bytes):
        self._buffer = ctypes.create_string_buffer(code, len(code))
        self._program = _FilterProgram(len(code) // 8, ctypes.addressof(self._buffer))
        self._call = (
            ctypes.c_long(NUMBERS["seccomp"]),
            ctypes.c_long(1),
            ctypes.c_long(4),
        )  # SET_MODE_FILTER, SPEC_ALLOW
        self.pointer = ctypes.byref(self._program)
        self._syscall = libc().syscall

    def install(self) -> None:
        """Adds the filter to this thread, for good. Needs no_new_privs. Raises `Refused`."""
        if self._syscall(*self._call, self.pointer) != 0:
            _check(-1, "seccomp filter")


def plain_clone() -> int:
    """A fork whose child's parent is the caller's (CLONE_PARENT): 0 in the child, else its id or a negative errno."""
    pid = _syscall("clone", 0x00008000 | 17, 0, 0, 0, 0)
    return pid if pid >= 0 else -ctypes.get_errno()


# ------------------------------------------------------------------------------------------------ Landlock

_LL_EXECUTE, _LL_WRITE_FILE, _LL_READ_FILE, _LL_READ_DIR = 1, 2, 4, 8
_LL_TRUNCATE, _LL_IOCTL_DEV = 1 << 14, 1 << 15


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if not _MACHINE:
        return 0
    return max(0, _syscall("landlock_create_ruleset", ctypes.c_void_p(None), 0, 1))


def landlock(readable: list[str], writable_devices: tuple[str, ...] = ("/dev/null",)) -> int:
    """Confines this process and its children to reading the trees `readable`; returns the ABI used.

    Nothing may be written, made, renamed or run; no TCP port bound or connected (ABI 4); no abstract socket and no
    process outside reached (ABI 6). Raises `Refused` when the kernel has no Landlock.
    """
    abi = landlock_abi()
    if abi < 1:
        raise Refused("Landlock is not in this kernel (or not in its list of active security modules)")
    filesystem = (1 << 13) - 1
    if abi >= 2:
        filesystem |= 1 << 13
    if abi >= 3:
        filesystem |= _LL_TRUNCATE
    if abi >= 5:
        filesystem |= _LL_IOCTL_DEV
    attributes = struct.pack("<QQQ", filesystem, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    buffer = ctypes.create_string_buffer(attributes, 24)
    ruleset = _check(_syscall("landlock_create_ruleset", buffer, size, 0), "Landlock ruleset")
    try:
        for path in readable:
            _landlock_allow(ruleset, path, _LL_READ_FILE | (_LL_READ_DIR if os.path.isdir(path) else 0))
        for path in writable_devices:
            if os.path.exists(path):
                _landlock_allow(ruleset, path, _LL_READ_FILE | _LL_WRITE_FILE | (_LL_TRUNCATE if abi >= 3 else 0))
        no_new_privs()
        _check(_syscall("landlock_restrict_self", ruleset, 0), "Landlock restriction")
    finally:
        os.close(ruleset)
    return abi


def _landlock_allow(ruleset: int, path: str, access: int) -> None:
    descriptor = os.open(path, getattr(os, "O_PATH", 0o10000000) | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", access, descriptor), 12)
        _check(_syscall("landlock_add_rule", ruleset, 1, rule, 0), f"Landlock rule for {path}")
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------ namespaces

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
)  # fmt: skip


def new_namespaces() -> None:
    """Moves this single-threaded process into new user, mount, pid (from the next fork), net, ipc and uts namespaces.

    The user id stays what it is, so that files stay readable as they were. Raises `Refused`.
    """
    uid, gid = os.geteuid(), os.getegid()
    wanted = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    if libc().unshare(_NEWUSER | wanted) != 0:
        reason = errno.errorcode.get(ctypes.get_errno(), "?")
        if uid != 0 or libc().unshare(wanted) != 0:  # a root without user namespaces can still have the others
            raise Refused(f"namespaces: unshare says {reason} (no unprivileged user namespaces here)")
    else:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            try:
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
            except OSError as error:
                raise Refused(f"namespaces: /proc/self/{name}: {error.strerror}") from None
    libc().unshare(_NEWCGROUP)  # hides the cgroup path; harmless where it is refused


def limit_process_ids(count: int) -> bool:
    """In a pid namespace of its own (the caller's duty), caps the ids in it, threads included; True when it holds.

    Only from Linux 6.14 is this number per namespace: before, writing it would change the whole machine.
    """
    release = platform.release().split(".")
    try:
        if (int(release[0]), int(release[1])) < (6, 14) or os.getpid() != 1:
            return False
        with open("/proc/sys/kernel/pid_max", "w") as file:
            file.write(str(max(count, 310)))
        return True
    except (OSError, ValueError, IndexError):
        return False


_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18
)  # fmt: skip


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encode = lambda text: None if text is None else os.fsencode(text)  # noqa: E731
    result = libc().mount(
        encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), ctypes.c_char_p(encode(data))
    )
    _check(result, f"mount {target}")


def bare_root(readable: list[str], devices: tuple[str, ...] = ("/dev/null", "/dev/zero", "/dev/urandom")) -> None:
    """In a mount namespace of its own, replaces the root by an empty one that holds only `readable`, read-only.

    Everything else is not hidden by permissions but absent: no /proc, no /tmp, no home. Raises `Refused`.
    """
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    base = "/tmp" if os.path.isdir("/tmp") else "/dev/shm"
    links = {path: os.readlink(path) for path in ("/lib", "/lib64", "/bin") if os.path.islink(path)}
    sources = []  # opened before the tmpfs covers `base`, below which a tree may lie
    for path in _outermost(readable) + [d for d in devices if os.path.exists(d)]:
        sources.append((path, os.path.isdir(path), os.open(path, 0o10000000 | os.O_CLOEXEC)))
    _mount("none", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path, is_directory, descriptor in sources:
        target = base + path
        os.makedirs(target if is_directory else os.path.dirname(target), exist_ok=True)
        if not is_directory:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        _mount(f"/proc/self/fd/{descriptor}", target, None, _MS_BIND | _MS_REC)
        if not path.startswith("/dev/"):
            _read_only(target)
        os.close(descriptor)
    for path, destination in links.items():
        if not os.path.lexists(base + path):
            os.symlink(destination, base + path)
    os.chdir(base)
    _check(_syscall("pivot_root", ctypes.c_char_p(b"."), ctypes.c_char_p(b".")), "pivot_root")
    _check(libc().umount2(b".", 2), "detaching the old root")
    os.chdir("/")
    _mount("none", "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _read_only(target: str) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("<QQQQ", 1 | 2, 0, 0, 0), 32)  # RDONLY | NOSUID
    path = ctypes.c_char_p(os.fsencode(target))
    if _syscall("mount_setattr", -100, path, 0x8000, attributes, 32) == 0:  # AT_RECURSIVE
        return
    kept = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)  # locked flags must stay
    _mount("none", target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _outermost(paths: list[str]) -> list[str]:
    """The given paths without those that lie below another of them."""
    kept: list[str] = []
    for path in sorted({os.path.realpath(p) for p in paths if os.path.exists(p)}):
        if not any(path == other or path.startswith(other.rstrip("/") + "/") for other in kept):
            kept.append(path)
    return kept


# ------------------------------------------------------------------------------------------------ privileges, limits


def no_new_privs() -> None:
    _check(libc().prctl(38, 1, 0, 0, 0), "no_new_privs")


def die_with_parent() -> None:
    """The kernel kills this process when its parent's thread ends (Linux only)."""
    libc().prctl(1, 9, 0, 0, 0)


def limit_cpu(seconds: int) -> None:
    """Limits the CPU time of this process, by the call that the filter of fork servers leaves to it."""
    limits = ctypes.create_string_buffer(struct.pack("<QQ", seconds, seconds + 1), 16)
    _check(_syscall("setrlimit", 0, limits), "limit on CPU time")


def name_process(name: str) -> None:
    """What `ps` and `top` show of this process and its children (Linux only)."""
    libc().prctl(15, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def leave_no_core() -> None:
    """No core dump of this process or its children, also where the machine pipes them to a program (Linux only)."""
    libc().prctl(4, 0, 0, 0, 0)  # not dumpable: nor to be looked into through /proc by others of the same user


def drop_capabilities() -> None:
    """Empties every capability set; also the bounding and ambient sets, as far as that is permitted."""
    for capability in range(64):
        if libc().prctl(24, capability, 0, 0, 0) != 0 and ctypes.get_errno() == errno.EINVAL:
            break
    libc().prctl(47, 4, 0, 0, 0)  # ambient: clear all
    header = ctypes.create_string_buffer(struct.pack("<Ii", 0x20080522, 0), 8)
    empty = ctypes.create_string_buffer(24)
    _check(libc().capset(header, empty), "dropping capabilities")


def interpreter_trees(extra: tuple[str, ...] = ()) -> list[str]:
    """What a program may read: the standard library, site-packages, shared libraries and time zones of this interpreter.

    Directories that merely lie on `sys.path` (an editable checkout, a home) are not among them; `extra` adds those that
    the caller vouches for.
    """
    import sysconfig

    paths = sysconfig.get_paths()
    trees = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    trees += [os.path.join(sys.base_prefix, "lib"), "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    trees += ["/etc/ld.so.cache", "/usr/share/zoneinfo", *extra]
    forbidden = {"/", os.path.realpath(os.path.expanduser("~"))}
    return [tree for tree in _outermost(trees) if tree not in forbidden]


def limit_resources(stack_mb: int, file_kb: int, open_files: int) -> None:
    """Limits that every program shares, set once in the fork server: no core file, bounded files and descriptors."""
    import resource

    def lower(which: int, value: int, hard: int | None = None) -> None:
        _, ceiling = resource.getrlimit(which)
        top = value if hard is None else hard
        if ceiling != resource.RLIM_INFINITY:
            value, top = min(value, ceiling), min(top, ceiling)
        resource.setrlimit(which, (value, top))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, file_kb * 1024)
    lower(resource.RLIMIT_NOFILE, open_files)
    lower(resource.RLIMIT_STACK, stack_mb << 20)
    for name in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_RTPRIO"):
        if hasattr(resource, name):
            lower(getattr(resource, name), 0)

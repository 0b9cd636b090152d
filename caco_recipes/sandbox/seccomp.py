"""The seccomp filters: which system calls a fork server has, and which its programs lose besides.

An allow-list, written as BPF here and installed by the kernel. Loaded by the stand-alone fork server too.
Source: Linux UAPI headers (linux/{seccomp,bpf_common,sched}.h).
"""

import ctypes
import errno
import os
import struct

from caco_recipes.sandbox.system_calls import AUDIT_ARCH, MACHINE, NUMBERS, check, libc

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
    out = _op(_LD, _ARCH) + _op(_JEQ, AUDIT_ARCH[MACHINE], 1, 0) + _op(_RET, _KILL) + _op(_LD, _NR)
    if MACHINE == "x86_64":
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
            check(-1, "seccomp filter")

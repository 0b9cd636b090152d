"""System calls by ctypes: the C library, the numbers of the calls on x86-64 and aarch64, what a refusal becomes.

Loaded by the stand-alone fork server too, so it imports the standard library only.
Table: Linux UAPI headers (asm/unistd_64.h, asm-generic/unistd.h).
"""

import ctypes
import errno
import os
import platform


class Refused(Exception):
    """A kernel feature that the asked level needs is not to be had; the text says which and why."""


_libc = None


def libc() -> ctypes.PyDLL:
    """The C library, loaded on first use: importing this module must work where there is no such library.

    `PyDLL` keeps the GIL held during a call: a fork through it gives a child that still owns the interpreter.
    """
    global _libc
    if _libc is None:
        _libc = ctypes.PyDLL(None, use_errno=True)
    return _libc


def check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise Refused(f"{what}: {errno.errorcode.get(code, code)} ({os.strerror(code)})")
    return result


def system_call(name: str, *args) -> int:
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return libc().syscall(ctypes.c_long(NUMBERS[name]), *converted)


MACHINE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower(), ""
)
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

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
_COLUMN = 0 if MACHINE != "aarch64" else 1
NUMBERS = {name: row[_COLUMN] for name, row in _TABLE.items() if row[_COLUMN] >= 0}


def plain_clone() -> int:
    """A fork whose child's parent is the caller's (CLONE_PARENT): 0 in the child, else its id or a negative errno."""
    pid = system_call("clone", 0x00008000 | 17, 0, 0, 0, 0)
    return pid if pid >= 0 else -ctypes.get_errno()

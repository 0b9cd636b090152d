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
Seccomp is in seccomp.py, the calls themselves in system_calls.py. Tables: Linux UAPI headers (linux/{landlock,sched}.h).
"""

import ctypes
import errno
import os
import platform
import struct
import sys

from caco_recipes.sandbox.seccomp import Filter, child_filter, server_filter
from caco_recipes.sandbox.system_calls import MACHINE, Refused, check, libc, plain_clone, system_call

__all__ = [
    "LEVELS",
    "Filter",
    "Refused",
    "bare_root",
    "child_filter",
    "die_with_parent",
    "drop_capabilities",
    "interpreter_trees",
    "landlock",
    "landlock_abi",
    "leave_no_core",
    "libc",
    "limit_cpu",
    "limit_process_ids",
    "limit_resources",
    "name_process",
    "new_namespaces",
    "no_new_privs",
    "plain_clone",
    "server_filter",
]

LEVELS = ("strict", "standard", "basic", "unsafe")


# ------------------------------------------------------------------------------------------------ Landlock

_LL_EXECUTE, _LL_WRITE_FILE, _LL_READ_FILE, _LL_READ_DIR = 1, 2, 4, 8
_LL_TRUNCATE, _LL_IOCTL_DEV = 1 << 14, 1 << 15


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if not MACHINE:
        return 0
    return max(0, system_call("landlock_create_ruleset", ctypes.c_void_p(None), 0, 1))


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
    ruleset = check(system_call("landlock_create_ruleset", buffer, size, 0), "Landlock ruleset")
    try:
        for path in readable:
            _landlock_allow(ruleset, path, _LL_READ_FILE | (_LL_READ_DIR if os.path.isdir(path) else 0))
        for path in writable_devices:
            if os.path.exists(path):
                _landlock_allow(ruleset, path, _LL_READ_FILE | _LL_WRITE_FILE | (_LL_TRUNCATE if abi >= 3 else 0))
        no_new_privs()
        check(system_call("landlock_restrict_self", ruleset, 0), "Landlock restriction")
    finally:
        os.close(ruleset)
    return abi


def _landlock_allow(ruleset: int, path: str, access: int) -> None:
    descriptor = os.open(path, getattr(os, "O_PATH", 0o10000000) | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", access, descriptor), 12)
        check(system_call("landlock_add_rule", ruleset, 1, rule, 0), f"Landlock rule for {path}")
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
    check(result, f"mount {target}")


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
    check(system_call("pivot_root", ctypes.c_char_p(b"."), ctypes.c_char_p(b".")), "pivot_root")
    check(libc().umount2(b".", 2), "detaching the old root")
    os.chdir("/")
    _mount("none", "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _read_only(target: str) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("<QQQQ", 1 | 2, 0, 0, 0), 32)  # RDONLY | NOSUID
    path = ctypes.c_char_p(os.fsencode(target))
    if system_call("mount_setattr", -100, path, 0x8000, attributes, 32) == 0:  # AT_RECURSIVE
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
    check(libc().prctl(38, 1, 0, 0, 0), "no_new_privs")


def die_with_parent() -> None:
    """The kernel kills this process when its parent's thread ends (Linux only)."""
    libc().prctl(1, 9, 0, 0, 0)


def limit_cpu(seconds: int) -> None:
    """Limits the CPU time of this process, by the call that the filter of fork servers leaves to it."""
    limits = ctypes.create_string_buffer(struct.pack("<QQ", seconds, seconds + 1), 16)
    check(system_call("setrlimit", 0, limits), "limit on CPU time")


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
    check(libc().capset(header, empty), "dropping capabilities")


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

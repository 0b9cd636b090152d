"""How a fork server lays out its memory, so that a fork copies little: huge pages, one heap, text that stays mapped.

Loaded by the stand-alone fork server before it confines itself. Linux only; elsewhere, and where the system refuses,
nothing is done: all of this is for speed.
"""

import ctypes
import os
import resource
import sys


def gather_arenas(confine: dict):
    """Has the interpreter take its arenas from the C heap, where huge pages fit; returns what ends this again, or None.

    By itself it maps them one by one, wherever a megabyte is free, and two of them rarely lie in one huge page. What
    is allocated between now and the end is given back with munmap, as all arenas are: the heap never sees it again.
    """
    if sys.platform != "linux":
        return None

    class Allocator(ctypes.Structure):
        _fields_ = [("context", ctypes.c_void_p), ("allocate", ctypes.c_void_p), ("free", ctypes.c_void_p)]

    try:
        libc, python = confine["libc"](), ctypes.pythonapi
        if not hasattr(libc, "gnu_get_libc_version"):
            return None  # the settings of the heap are glibc's
        found, ours = Allocator(), Allocator()
        python.PyObject_GetArenaAllocator(ctypes.byref(found))
        ours.context = resource.getpagesize()  # aligned_alloc(context, size)
        ours.allocate = ctypes.cast(libc.aligned_alloc, ctypes.c_void_p)
        ours.free = ctypes.cast(
            libc.labs, ctypes.c_void_p
        )  # does nothing: only seen by what is freed while warming up
        python.PyObject_SetArenaAllocator(ctypes.byref(ours))
    except AttributeError:
        return None
    return lambda: python.PyObject_SetArenaAllocator(ctypes.byref(found))


def collapse_heap(confine: dict) -> list[tuple[int, int]]:
    """Asks for huge pages under the private heap (Linux 6.1): a fork then copies a few entries instead of thousands.

    Returns the (start, length) of each stretch that has them.
    """
    if sys.platform != "linux":
        return []
    libc, collapsed, huge = confine["libc"](), [], 1 << 21
    with open("/proc/self/maps") as file:
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        if fields[1] != "rw-p" or (len(fields) > 5 and fields[5] != "[heap]"):
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        start, end = -(-start // huge) * huge, end // huge * huge
        for place in range(start, end, huge):  # one by one: what nothing lies in yet is refused
            if libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(huge), 25) == 0:
                collapsed.append((place, huge))
    return collapsed


def keep_text_mapped(confine: dict) -> None:
    """Has a fork copy the page-table entries of the interpreter's and the C library's text.

    Left alone a fork drops those of files, and every program faults them in again, fifty times. A mapping with one
    private page is copied whole: so one byte of each is written with what it is.
    """
    if sys.platform != "linux":
        return
    mprotect, names = confine["libc"]().mprotect, ("libpython", "/python", "libc.so", "libc-", "ld-linux")
    with open("/proc/self/maps") as file:
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        if fields[1] not in ("r-xp", "r--p") or len(fields) < 6:
            continue
        if not any(name in "/" + os.path.basename(fields[5]) for name in names):
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        protection = 5 if fields[1] == "r-xp" else 1
        where, length = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
        if mprotect(where, length, protection | 2) == 0:  # some systems refuse what is both written and run
            ctypes.memmove(start, start, 1)
            mprotect(where, length, protection)


def address_space() -> int:
    """Bytes of address space of this process; 0 where the system doesn't say (then RLIMIT_AS is not used)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0

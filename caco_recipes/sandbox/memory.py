"""How a fork server lays out its memory, so that a fork copies little: huge pages, one heap, text that stays mapped.

Loaded by the stand-alone fork server before it confines itself. Linux only; elsewhere, and where the system refuses,
nothing is done: all of this is for speed.
"""

import ctypes
import os
import resource
import sys

HUGE_PAGE = 1 << 21
# wiped or left out at a fork, device memory, other keys or shadow stacks, huge pages of a pool
PLACE_BOUND = frozenset(("wf", "dc", "io", "pf", "ht", "dp", "ss", "gu", "mt"))
LARGE = 8 << 20  # a library's mapping beyond this is only copied when half of it is in use


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
    """Asks for huge pages under the private memory (Linux 6.1): a fork then copies a few entries instead of thousands.

    Returns the (start, length) of each stretch that has them.
    """
    if sys.platform != "linux":
        return []
    libc, collapsed = confine["libc"](), []
    for start, end, rights, name, _ in mappings():
        if rights[:2] != "rw" or rights[3] != "p" or name not in ("", "[heap]"):
            continue
        start, end = -(-start // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
        for place in range(start, end, HUGE_PAGE):  # one by one: what nothing lies in yet is refused
            if libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(HUGE_PAGE), 25) == 0:
                collapsed.append((place, HUGE_PAGE))
    return collapsed


def gather_mappings(confine: dict, gather) -> bool:
    """Lays the interpreter, its libraries and their data into one mapping, at the addresses that they have (gather.c).

    A fork then copies a dozen mappings instead of 140, and a dozen entries of huge pages (once `collapse_heap` has made
    them) instead of two thousand of small ones, and no page of a library is ever missing in a new process. The mapping
    can be read, written and run: a program can only hurt itself with that, and may ask for such memory anyhow. False
    where there is no compiled `gather`, or the system refuses a stretch.
    """
    if gather is None:
        return False
    failed = 0
    for low, high, parts in stretches(mappings()):
        flat = [number for pair in parts for number in pair]
        array = (ctypes.c_ulong * len(flat))(*flat)
        failed += gather(ctypes.c_ulong(low), ctypes.c_ulong(high), array, ctypes.c_long(len(parts))) != 0
    return not failed


def mappings() -> list[tuple[int, int, str, str, int]]:
    """(start, end, rights, name, bytes in use) of each mapping of this process, by address.

    A mapping with a flag that would be lost in another place has `!` in its rights.
    """
    found: list[tuple[int, int, str, str, int]] = []
    with open("/proc/self/smaps") as file:
        for line in file:
            fields = line.split(None, 5)
            if fields[0] == "Rss:":
                start, end, rights, name, _ = found[-1]
                found[-1] = (start, end, rights, name, int(fields[1]) * 1024)
            elif fields[0] == "VmFlags:" and not PLACE_BOUND.isdisjoint(line.split()):
                start, end, rights, name, used = found[-1]
                found[-1] = (start, end, rights + "!", name, used)
            elif not fields[0].endswith(":"):
                start, end = (int(part, 16) for part in fields[0].split("-"))
                found.append((start, end, fields[1], fields[5].strip() if len(fields) > 5 else "", 0))
    return found


def stretches(found: list[tuple[int, int, str, str, int]]) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """(low, high, what can be read in it) of each stretch that may become one mapping.

    The heap, the stack and the kernel's own mappings stay as they are, and so does shared memory, what can be run but not
    read, what a flag binds to its place, and a large library that is hardly used: its pages would have to be copied.
    """
    made: list[list[tuple[int, int, str, str, int]]] = []
    for one in found:
        start, end, rights, name, used = one
        large = end - start > LARGE and used < (end - start) / 2 and name.startswith("/")
        if name.startswith("[") or "s" in rights or "!" in rights or rights.startswith("--x") or large:
            made.append([])
        elif made and made[-1] and start - made[-1][-1][1] < HUGE_PAGE:
            made[-1].append(one)
        else:
            made.append([one])
    result = []
    for run in made:
        if len(run) < 4:
            continue
        low, high = run[0][0], run[-1][1]
        # whole huge pages, where nothing else lies beside the stretch
        wider = low // HUGE_PAGE * HUGE_PAGE, -(-high // HUGE_PAGE) * HUGE_PAGE
        if not any(wider[0] < end and start < low for start, end, *_ in found if end <= low):
            low = wider[0]
        if not any(start < wider[1] and end > high for start, end, *_ in found if start >= high):
            high = wider[1]
        result.append((low, high, [(start, end) for start, end, rights, *_ in run if rights[0] == "r"]))
    return result


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


def resident_kb() -> int:
    """Memory in use now, in KB; the most that ever was where the system doesn't say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() // 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def address_space() -> int:
    """Bytes of address space of this process; 0 where the system doesn't say (then RLIMIT_AS is not used)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0

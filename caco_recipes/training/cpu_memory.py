"""On a CPU a training process keeps the memory that it frees.

A step allocates and frees the same large tensors as the step before. glibc hands each of them back to the system and asks
for it anew, and the system zeroes it page by page: 100,000 to 500,000 page faults per step of a 135M model, and the other
threads wait while one faults. Kept memory raises the peak a little: by 6 % in the worst case of
tests/benchmarks/bench_plan_memory.py.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep() -> bool:
    """Tells glibc to keep freed memory; returns whether it listened (another C library doesn't have the call)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))

"""The forker's inner loop as machine code: compiled by the system's C compiler on first use, in memory only.

Without a compiler, or where code can't be loaded from memory, `library` is None and the same loop runs in Python.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forker.c")


@functools.cache
def library() -> bytes | None:
    """The shared library made of forker.c; None when it can't be made here. Takes 0.1 s, once per process."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or sys.platform != "linux":
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="caco-forker-") as folder:
            target = os.path.join(folder, "forker.so")
            subprocess.run(
                # in as few mappings as can be: each fork copies them
                [compiler, "-O2", "-fPIC", "-shared", "-Wl,-z,noseparate-code,-z,norelro", "-o", target, _SOURCE],
                check=True,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=30,
            )
            with open(target, "rb") as file:
                return file.read()
    except (OSError, subprocess.SubprocessError):
        return None

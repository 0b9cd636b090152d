"""The C files as machine code: compiled by the system's C compiler on first use, kept in the user's cache.

Without a compiler, or where code can't be loaded, `library` is None: all they do then runs in Python, and
memory stays as the system has laid it out.
"""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_SOURCES = tuple(Path(__file__).with_name(name) for name in ("forker.c", "program.c", "gather.c"))
# in as few mappings as can be: each fork copies them
_FLAGS = ("-O2", "-fPIC", "-shared", "-Wl,-z,noseparate-code,-z,norelro,-z,now")


@functools.cache
def library() -> bytes | None:
    """The shared library made of them; None when it can't be made here. Compiling takes 0.1 s."""
    if sys.platform != "linux":
        return None
    kept = _kept()
    try:
        if kept is not None and kept.stat().st_uid == os.getuid():
            data = kept.read_bytes()
            if hashlib.sha256(data[:-32]).digest() == data[-32:]:  # whole, as it was written
                return data[:-32]
    except OSError:
        pass
    made = _compile()
    if made is not None and kept is not None:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=kept.parent) as file:
                file.write(made + hashlib.sha256(made).digest())
                file.flush()
                os.link(file.name, name := f"{file.name}.done")
            os.replace(name, kept)
        except OSError:
            pass  # compiled again next time
    return made


def _kept() -> Path | None:
    """Where the library of these sources is kept on this machine; None without a home."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    key = hashlib.sha256(repr((_FLAGS, platform.machine(), platform.libc_ver())).encode())
    for source in _SOURCES:
        key.update(source.read_bytes())
    return cache / "caco_recipes" / f"forker-{key.hexdigest()[:16]}.so"


def _compile() -> bytes | None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="caco-forker-") as folder:
            target = Path(folder) / "forker.so"
            subprocess.run(
                [compiler, *_FLAGS, "-o", str(target), *map(str, _SOURCES)],
                check=True,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=30,
            )
            return target.read_bytes()
    except (OSError, subprocess.SubprocessError):
        return None

"""The version of the execution engine: what must be equal for two executions to be comparable."""

import hashlib
import importlib.metadata
import os
import platform

_HERE = os.path.dirname(os.path.abspath(__file__))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _sources() -> str:
    """A hash of this package's own code and warm-up texts."""
    digest = hashlib.sha256()
    for name in sorted(os.listdir(_HERE)):
        if name.endswith((".py", ".c")):
            with open(os.path.join(_HERE, name), "rb") as file:
                digest.update(name.encode() + b"\0" + file.read() + b"\0")
    return digest.hexdigest()[:8]


ENGINE_VERSION = (
    f"sandbox-1+{_sources()} python-{platform.python_version()} sympy-{_version('sympy')} numpy-{_version('numpy')}"
)

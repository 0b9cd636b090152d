"""Which isolation level this machine allows: found by starting a fork server at each, best first."""

import json
import os
import struct
import sys
import time
from dataclasses import dataclass

from caco_recipes.sandbox.confine import LEVELS
from caco_recipes.sandbox.results import Limits
from caco_recipes.sandbox.worker import start_worker


class IsolationError(RuntimeError):
    """The asked isolation level is not to be had here; the text says which feature is missing."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The best level to be had ("" for none but `unsafe`), and why each better one is not."""

    level: str
    reasons: dict[str, str]


_tried: dict[str, str] = {}


def why_not(level: str) -> str:
    """ "" when `level` is to be had here, otherwise what is missing. Tried once per process, in about 0.1 s."""
    if level not in LEVELS:
        raise ValueError(f"unknown isolation {level!r}: expected auto, {', '.join(LEVELS)}")
    if level not in _tried:
        if level != "unsafe" and sys.platform != "linux":
            _tried[level] = f"{sys.platform} has no namespaces, Landlock or seccomp"
        else:
            answer = _try(level)
            if answer.startswith("?"):  # a fault, not a property of the machine: not remembered
                return answer[1:]
            _tried[level] = answer
    return _tried[level]


def _try(level: str) -> str:
    try:
        worker = start_worker(
            "plain", level, Limits(), 1, 1, 0, 1, level == "unsafe" and not hasattr(os, "memfd_create")
        )
    except OSError as error:
        return f"?the fork server does not start: {error}"
    try:
        worker.control.setblocking(True)
        worker.control.settimeout(60)
        data = b""
        started = time.monotonic()
        while len(data) < 4 or len(data) < 4 + struct.unpack_from("<I", data)[0]:
            part = worker.control.recv(65536)
            if not part or time.monotonic() - started > 60:
                worker.process.wait(5)
                return f"?the fork server ended with code {worker.process.returncode} before it was ready"
            data += part
        return json.loads(data[4:]).get("refused", "")
    except OSError as error:
        return f"?the fork server does not answer: {error}"
    finally:
        worker.stop()


def probe() -> Probe:
    """The best isolation level here, and the reasons against the better ones."""
    reasons = {}
    for level in LEVELS[:-1]:
        reason = why_not(level)
        if not reason:
            return Probe(level, reasons)
        reasons[level] = reason
    return Probe("", reasons)


def reach(isolation: str, minimum: str | None) -> tuple[str, dict[str, str]]:
    """(level, reasons against better ones) for what was asked. Raises `IsolationError`; never falls to `unsafe`."""
    if minimum is not None and minimum not in LEVELS:
        raise ValueError(f"unknown minimum isolation {minimum!r}: expected one of {', '.join(LEVELS)}")
    if isolation == "auto":
        found = probe()
        level, reasons = found.level, found.reasons
        if not level:
            told = "; ".join(f"{name}: {why}" for name, why in reasons.items())
            raise IsolationError(
                f"no isolation is to be had here ({told}). To run programs with your own rights, in a machine or "
                "container of their own, ask for isolation 'unsafe' by name."
            )
    else:
        level, reasons = isolation, {}
        reason = why_not(level)
        if reason:
            raise IsolationError(f"isolation {level!r} is not to be had here: {reason}")
    if minimum is not None and LEVELS.index(level) > LEVELS.index(minimum):
        told = "; ".join(f"{name}: {why}" for name, why in reasons.items()) or f"{level!r} was asked for"
        raise IsolationError(f"isolation {level!r} is below the required {minimum!r} ({told})")
    return level, reasons

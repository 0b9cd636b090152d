"""Untrusted programs, fast, isolated, exact.

    from caco_recipes.sandbox import Pool, Limits

    with Pool(rules="caco") as pool:
        for result in pool.run(codes):
            print(result.status, result.output_text)

Covered: other programs, the coordinator, files, processes, the network, secrets, time, memory, output. Not covered: what
a program says about itself (it may forge its own output), side channels between programs, and faults of the kernel.
How it works, level by level: docs/execution.md.
"""

from caco_recipes.sandbox.engine import ENGINE_VERSION
from caco_recipes.sandbox.levels import IsolationError, Probe, probe
from caco_recipes.sandbox.pool import Pool, ShareMismatch
from caco_recipes.sandbox.results import Limits, Result

__all__ = ["ENGINE_VERSION", "IsolationError", "Limits", "Pool", "Probe", "Result", "ShareMismatch", "probe"]

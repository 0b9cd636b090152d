"""What comes out of the sandbox: one typed record per program, and the limits that it ran under."""

from dataclasses import dataclass

from caco_recipes.verdicts import verdict_of_status


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use. Time is CPU time; the wall limit counts only time in which the program does nothing.

    Attributes:
        cpu_seconds: CPU time of the first lane. Nothing good needs more than a fraction of a second.
        slow_cpu_seconds: CPU time of the slow lane, in which programs that used up the first are run again at the end;
            None for no such lane.
        idle_seconds: seconds a program may sleep or wait; None for three times its CPU limit and 2 s.
        memory_mb: address space beyond what the interpreter has already.
        stdout_kb: printed text that is kept.
        stdout_limit_kb: printed text at which the program is stopped (`output_limit`).
        source_kb: longest program that is run at all (`output_limit` otherwise).
        value_kb, value_items, value_depth, value_digits: bounds of `input` and `output` (`output_limit` beyond).
        threads: threads a program may have (unprivileged, or Linux 6.14 and later: exactly bounded).
    """

    cpu_seconds: float = 1.0
    slow_cpu_seconds: float | None = 5.0
    idle_seconds: float | None = None
    memory_mb: int = 512
    stdout_kb: int = 64
    stdout_limit_kb: int = 1024
    source_kb: int = 64
    value_kb: int = 64
    value_items: int = 5_000
    value_depth: int = 20
    value_digits: int = 20_000
    threads: int = 64

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "memory_mb", "stdout_kb", "stdout_limit_kb", "source_kb", "value_kb", "threads"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Limits.{name} must be above 0, got {getattr(self, name)!r}")
        if self.slow_cpu_seconds is not None and self.slow_cpu_seconds < self.cpu_seconds:
            raise ValueError("Limits.slow_cpu_seconds must not be below cpu_seconds (None switches the slow lane off)")

    def idle_of(self, cpu_seconds: float) -> float:
        return 3 * cpu_seconds + 2 if self.idle_seconds is None else self.idle_seconds


@dataclass(frozen=True, slots=True)
class Result:
    """One program's execution.

    Attributes:
        status: `ok | error | timeout | memory | output_limit | denied | infrastructure`.
        reason: a code of `caco_recipes.verdicts.REASONS`; empty when accepted.
        verdict: of the status, and of the rules where the pool has rules.
        input: tagged JSON of `input` as written, before the program changed it; None when there is none.
        output: tagged JSON of `output`; when that name is missing, of the last line printed (see `output_source`).
        output_text: what `print(output)` shows.
        output_source: `variable`, `stdout` or "" (no output).
        stdout: printed text, at most `Limits.stdout_kb`; `stdout_truncated` says whether there was more.
        exception_type, exception_line, exception_message: of an uncaught exception (line 0: unknown).
        cpu_seconds, wall_seconds, peak_memory_mb: measured from outside; memory is that above the bare interpreter.
        isolation, engine_version: under what it ran.
        rule_reason: the rule that rejects an `ok` program (`rules="caco"`), else empty.
        unused: the keys of `input` that the program does not use functionally (`rules="caco"`).
        code_lines: lines that are neither blank, comment nor docstring (`rules="caco"`), else 0.
    """

    status: str
    reason: str
    verdict: str
    input: str | None = None
    output: str | None = None
    output_text: str = ""
    output_source: str = ""
    stdout: str = ""
    stdout_truncated: bool = False
    exception_type: str = ""
    exception_line: int = 0
    exception_message: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    isolation: str = ""
    engine_version: str = ""
    rule_reason: str = ""
    unused: tuple[str, ...] = ()
    code_lines: int = 0

    @property
    def ok(self) -> bool:
        return self.status == "ok"


def infrastructure(what: str, isolation: str, engine_version: str) -> Result:
    """The row of a program that *we* could not run: undecided, never a rejection."""
    reason = f"infrastructure:{what}"
    return Result(
        "infrastructure",
        reason,
        verdict_of_status("infrastructure"),
        isolation=isolation,
        engine_version=engine_version,
    )

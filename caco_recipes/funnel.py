"""The funnel of a run: per step the rows in, kept, rejected by reason and undecided, with tokens and seconds.

Counts come from the records that finished parts carry, seconds from the run's `events.jsonl`. So a funnel can be printed
while a run is going, after it was killed, and on a machine that has none of the models. Text for terminals, Markdown
for cards and reports.
"""

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes.identity import receipts
from caco_recipes.run_folder import RECORD_KEY, PartRecord, RunError, StepFolder, totals


@dataclass(frozen=True)
class Step:
    """One step of a run, as its folder tells it.

    Attributes:
        name: the step's name in the recipe, which is also its folder.
        stage: the stage module that ran (several steps may run the same one).
        version: the stage's `VERSION`.
        folder: where its parts lie.
        inputs: names of the steps whose accepted rows it read.
        config: its keys in the recipe.
        complete: whether it is finished.
        rows, accepted, rejected, undecided: rows over all parts.
        reasons: reason (code and detail) -> rows, most frequent first.
        counts: what the engine counted, for example `prompt_tokens`; empty without an engine.
        seconds: wall-clock seconds of work on it, those of repeated work included; None when no event tells.
    """

    name: str
    stage: str
    version: int
    folder: StepFolder | None
    inputs: list[str]
    config: dict[str, Any]
    complete: bool
    rows: int
    accepted: int
    rejected: int
    undecided: int
    reasons: dict[str, int]
    counts: dict[str, int]
    seconds: float | None
    fingerprint: str = field(default="", repr=False)

    @property
    def tokens(self) -> int:
        """Prompt and answer tokens together."""
        return sum(value for key, value in self.counts.items() if key.endswith("tokens"))

    @property
    def has_rows(self) -> bool:
        """False for steps that train, evaluate or report."""
        return bool(self.rows) or (self.folder is not None and bool(self.folder.accepted_files()))


def read_run(run: str | Path) -> list[Step]:
    """The steps of a run in the order in which they ran, each after those that it reads.

    Raises `RunError` when `run` is no run folder.
    """
    root = Path(run)
    if not root.is_dir():
        raise RunError(f"{root} is not a folder: give a run's folder, for example runs/quickstart")
    seconds, started = _events(root / "events.jsonl")
    steps = {}
    for folder in sorted(root.iterdir()):
        manifest = StepFolder(folder).manifest() if folder.is_dir() else None
        if isinstance(manifest, dict) and "stage" in manifest:
            steps[folder.name] = read_step(StepFolder(folder), manifest, seconds)
    if not steps:
        raise RunError(f"{root} holds no step of a run yet: start it with caco run RECIPE")
    return _ordered(steps, started)


def read_step(folder: StepFolder, manifest: dict[str, Any], seconds: dict[str, float] | None = None) -> Step:
    """One step from its manifest; while it is unfinished, from the records of its finished parts."""
    fingerprint = str(manifest.get("fingerprint", ""))
    sums = manifest.get("totals")
    if sums is None or not manifest.get("complete"):
        sums = totals(finished_parts(folder, fingerprint))
    reasons = {str(reason): int(rows) for reason, rows in (sums.get("reasons") or {}).items()}
    return Step(
        name=folder.name,
        stage=str(manifest.get("stage") or folder.name),
        version=int(manifest.get("version") or 0),
        folder=folder,
        inputs=[str(name) for name in manifest.get("inputs") or []],
        config=dict(manifest.get("config") or {}),
        complete=bool(manifest.get("complete")),
        rows=int(sums.get("rows") or 0),
        accepted=int(sums.get("accepted") or 0),
        rejected=int(sums.get("rejected") or 0),
        undecided=int(sums.get("undecided") or 0),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        counts={key: value for key, value in (sums.get("facts") or {}).items() if isinstance(value, int)},
        seconds=(seconds or {}).get(fingerprint),
        fingerprint=fingerprint,
    )


def finished_parts(folder: StepFolder, fingerprint: str) -> list[PartRecord]:
    """The records of the parts that are finished and belong to this work, in order; a running step has some."""
    records = []
    for path in folder.accepted_files():
        try:
            record = PartRecord(**json.loads((pq.read_metadata(path).metadata or {})[RECORD_KEY]))
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException):
            continue  # not finished, or of another program: the run will make it anew
        if record.fingerprint == fingerprint:
            records.append(record)
    return records


def _events(path: Path) -> tuple[dict[str, float], list[str]]:
    """Seconds of work per step fingerprint, and the steps in the order in which they first started."""
    seconds: dict[str, float] = {}
    started: dict[str, None] = {}
    current: dict[str, str] = {}
    parts_seen: set[str] = set()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}, []
    for line in lines:
        try:
            event = json.loads(line)
            kind, name = event["event"], event["step"]
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a killed run may be cut
        if kind == "step_start":
            current[name] = str(event.get("fingerprint", ""))
            started.setdefault(name)
        elif kind == "part":
            key = current.get(name, "")
            parts_seen.add(key)
            seconds[key] = seconds.get(key, 0.0) + float(event.get("seconds") or 0)
        elif kind == "step_end" and current.get(name, "") not in parts_seen:
            # A step without parts (training, publishing) is timed as a whole.
            key = current.get(name, "")
            seconds[key] = seconds.get(key, 0.0) + float(event.get("seconds") or 0)
    return seconds, list(started)


def _ordered(steps: dict[str, Step], started: list[str]) -> list[Step]:
    order: list[Step] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in steps:
            return
        seen.add(name)
        for parent in steps[name].inputs:
            visit(parent)
        order.append(steps[name])

    for name in [*started, *sorted(steps)]:
        visit(name)
    return order


def by_code(reasons: dict[str, int]) -> dict[str, int]:
    """Folds details away (`exception:ValueError` and `exception:TypeError` are both `exception`), most frequent first."""
    counts: Counter[str] = Counter()
    for reason, rows in reasons.items():
        counts[reason.partition(":")[0]] += rows
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def recorded_steps(steps: Iterable[Step]) -> list[str]:
    """The steps whose answers were replayed from a recorded file instead of generated by a model in this run.

    A step's first row tells: its last receipt names the model, and a recorded one names itself so.
    """
    return [step.name for step in steps if _first_model(step).startswith("recorded")]


def _first_model(step: Step) -> str:
    for path in [*step.folder.accepted_files(), *step.folder.rejected_files()]:
        try:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=1, columns=["lineage"]):
                for row in batch.to_pylist():
                    last = receipts(row["lineage"] or "")[-1:]
                    return str(last[0].get("model", "")) if last and last[0].get("stage") == step.stage else ""
        except (OSError, KeyError, ValueError, pa.ArrowException):
            continue
    return ""


def funnel_text(run: str | Path) -> str:
    """The funnel of a run's folder for a terminal. Raises `RunError` when it is no run folder."""
    steps = read_run(run)
    recorded = recorded_steps(steps)
    text = text_table(steps, recorded)
    if recorded:
        text += "[recorded]: answers of people or models recorded earlier, replayed; no model ran in this step.\n"
    return text


COLUMNS = ("step", "rows in", "kept", "%", "rejected", "undecided", "tokens", "seconds")


def text_table(steps: Iterable[Step], recorded: Iterable[str] = (), top: int = 6) -> str:
    """The funnel for a terminal, at most 119 columns wide; under each step its `top` most frequent reasons.

    `recorded` names the steps whose answers were replayed from a recorded file; they are marked.
    """
    steps, recorded = list(steps), set(recorded)
    rows = [_cells(step, step.name in recorded) for step in steps]
    widths = [max(len(row[i]) for row in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
    lines = [_aligned(COLUMNS, widths), "  ".join("─" * width for width in widths)]
    for step, row in zip(steps, rows, strict=True):
        lines.append(_aligned(row, widths))
        if step.reasons:
            lines.extend(
                textwrap.wrap(
                    _reason_text(step.reasons, top),
                    width=115,
                    initial_indent="    ",
                    subsequent_indent="    ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
    return "\n".join(lines) + "\n"


def markdown_table(steps: Iterable[Step], recorded: Iterable[str] = (), top: int = 4, measured: bool = True) -> str:
    """The funnel as a Markdown table, reasons in its last column.

    `measured=False` leaves the seconds out: what must be the same bytes in every run can't hold them.
    """
    recorded = set(recorded)
    width = len(COLUMNS) if measured else len(COLUMNS) - 1
    lines = ["| " + " | ".join([*COLUMNS[:width], "reasons"]) + " |"]
    lines.append("| --- |" + " ---: |" * (width - 1) + " --- |")
    for step in steps:
        cells = [*_cells(step, step.name in recorded)[:width], _reason_text(step.reasons, top)]
        lines.append("| " + " | ".join(markdown_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(step: Step, recorded: bool) -> list[str]:
    name = step.name + ("" if step.complete else " (so far)") + (" [recorded]" if recorded else "")
    seconds = "–" if step.seconds is None else f"{step.seconds:,.1f}"
    if not step.has_rows:
        return [name, "–", "–", "–", "–", "–", f"{step.tokens:,}" if step.tokens else "–", seconds]
    return [
        name,
        f"{step.rows:,}",
        f"{step.accepted:,}",
        f"{100 * step.accepted / step.rows:.1f}" if step.rows else "–",
        f"{step.rejected:,}",
        f"{step.undecided:,}",
        f"{step.tokens:,}" if step.tokens else "–",
        seconds,
    ]


def _aligned(cells: Iterable[str], widths: list[int]) -> str:
    first, *rest = cells
    return "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))])


def _reason_text(reasons: dict[str, int], top: int) -> str:
    shown = list(reasons.items())[:top]
    words = [f"{reason} {rows:,}" for reason, rows in shown]
    rest = sum(reasons.values()) - sum(rows for _, rows in shown)
    return ", ".join(words + ([f"others {rest:,}"] if rest else []))


def markdown_cell(text: str) -> str:
    """Any text as the content of a Markdown table's cell: no markup of its own takes effect, no line breaks."""
    text = re.sub(r"([\\*\[\]~]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z]))", r"\\\1", text)
    for mark in "<>|`":
        text = text.replace(mark, f"&#{ord(mark)};")
    return " ".join(text.split())

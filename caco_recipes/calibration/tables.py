"""What a calibration leaves behind: `calibration.json` (everything), its tables in Markdown, and the card's section."""

import hashlib
import json
from pathlib import Path
from typing import Any

from caco_recipes.funnel import markdown_cell

FILE = "calibration.json"
SHOWN_IN_SWEEP = 11


def per_cent(share: dict[str, Any]) -> str:
    """`4.2 [1.1, 9.8]` in per cent, or a dash when nothing was counted."""
    if share["value"] is None:
        return "–"
    return f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def kinds_table(judge: dict[str, Any]) -> str:
    """One line per kind: how many pairs, what was said, the share of errors."""
    lines = [
        "| pairs | number | Yes | No | unclear | not asked | wrong, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, found in judge["kinds"].items():
        cells = [str(found[name]) for name in ("pairs", "yes", "no", "unclear", "fault")]
        lines.append(f"| {' | '.join([markdown_cell(kind), *cells, per_cent(found['error'])])} |")
    lines.append(
        f"| **wrong ones that were accepted** | {judge['false_accept']['of']} | | | | | {per_cent(judge['false_accept'])} |"
    )
    lines.append(
        f"| **right ones that were rejected** | {judge['false_reject']['of']} | | | | | {per_cent(judge['false_reject'])} |"
    )
    return "\n".join(lines)


def threshold_text(judge: dict[str, Any]) -> str:
    """What the sweep says, in a sentence or two."""
    found, area = judge["threshold"], judge["auc"]
    if area is None:
        return "The engine gave no probabilities, so there is no threshold to choose: the word decides."
    text = f"A right pair has the higher probability of Yes in {100 * area:.0f} % of cases (50 is guessing). "
    if found["value"] is None:
        return text + f"No threshold keeps false accepts at {100 * found['bound']:.0f} % and accepts any right pair."
    return (
        text
        + f"Threshold for at most {100 * found['bound']:.0f} % false accepts: {found['value']:.4f}, chosen on one half of the "
        f"rows; on the other half it accepts {per_cent(found['false_accept'])} % of the wrong pairs and rejects "
        f"{per_cent(found['false_reject'])} % of the right ones."
    )


def sweep_table(judge: dict[str, Any]) -> str:
    """Thresholds, lowest first, with what each would accept and reject; empty without probabilities."""
    points = judge["sweep"]
    if not points:
        return ""
    if len(points) > SHOWN_IN_SWEEP:
        points = [points[round(i * (len(points) - 1) / (SHOWN_IN_SWEEP - 1))] for i in range(SHOWN_IN_SWEEP)]
    lines = ["| Yes from | false accepts, % | false rejects, % |", "| ---: | ---: | ---: |"]
    for point in points:
        cells = [f"{point['threshold']:.4f}", per_cent(point["false_accept"]), per_cent(point["false_reject"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def document(found: dict[str, Any]) -> str:
    """`calibration.md`: every table of a calibration, with how to read it."""
    unusable = "; ".join(f"{markdown_cell(why)}: {count}" for why, count in found["unusable"].items()) or "none"
    parts = [
        f"# Calibration of {markdown_cell(found['model'])}",
        f"{found['rows']} rows, {found['pairs']} labelled pairs, {found['questions']} questions. Rows left out: {unusable}.",
    ]
    for name, judge in found["judges"].items():
        parts += [f"## {name}", kinds_table(judge), threshold_text(judge)]
        if table := sweep_table(judge):
            parts.append(table)
    parts.append(
        "Shares in per cent of the pairs that were answered Yes or No, with 95 % intervals (Wilson). `right` rows passed "
        "the answer check; a few of them may still be wrong. Near misses are wrong by construction: docs/judges.md."
    )
    return "\n\n".join(parts) + "\n"


def card_section(run_dir: str | Path) -> str:
    """The calibration of a run's judges as Markdown for the dataset's card; empty when the run has none."""
    found = read(run_dir)
    if not found:
        return ""
    lines = [
        f"Judged by `{markdown_cell(found['model'])}` on {found['pairs']} labelled pairs made from {found['rows']} rows "
        "(right ones, and near misses of them that are wrong by construction). Shares in per cent with 95 % intervals.",
        "",
        "| judge | wrong pairs accepted | right pairs rejected | Yes ranks right above wrong |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, judge in found["judges"].items():
        area = "–" if judge["auc"] is None else f"{100 * judge['auc']:.0f} %"
        cells = [markdown_cell(name), per_cent(judge["false_accept"]), per_cent(judge["false_reject"]), area]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def card_sha256(run_dir: str | Path) -> str:
    """The identity of a run's calibration, for the fingerprint of what shows it; empty when there is none."""
    path = Path(run_dir) / FILE
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def read(run_dir: str | Path) -> dict[str, Any] | None:
    """A run's calibration.json, or None when there is none that can be read."""
    try:
        found = json.loads((Path(run_dir) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == 1 else None

"""The `control` stage: did verification help? Models trained on sets of one size, on the same benchmark items, compared.

In: an evaluate step whose models are named like the draw steps that they were trained on. Out: `runs/NAME/STEP/control.md`
and `control.json`: per arm what it was trained on and its accuracy with a 95 % interval, and the paired differences of
the chosen pairs of arms (exact McNemar test, Newcombe's interval), all benchmarks together and one by one.

What the table can't show: each arm is trained once, and the interval covers the choice of items, not of training seeds.
A second draw of one arm (`noise`) gives one look at that: a difference no larger than that between the two is no finding.

    caco run recipes/control/small.yaml
    caco control runs/control-small
"""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caco_recipes.configs import StageConfig, option
from caco_recipes.evaluation.metrics import Comparison, compare, share_interval
from caco_recipes.funnel import Step, markdown_cell, read_run
from caco_recipes.run_folder import RunError, write_atomic
from caco_recipes.verdicts import ACCEPTED

VERSION = 1
WHOLE_RUN = True
FEATURES: dict[str, str] = {}
FILE = "control.md"


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a control step; its input is the evaluate step."""

    pairs: list[list[str]] = option(
        "Pairs of arms to compare: the first against the second.",
        default_factory=lambda: [["unverified", "verified"], ["easy", "hard"]],
    )
    noise: list[str] = option(
        "Two draws of the same kind: their difference is noise.",
        default_factory=lambda: ["verified", "verified_again"],
    )
    protocol: str = option("Whose verdicts count: strict or caco-paper.", "strict")

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(len(pair) != 2 for pair in self.pairs) or len(self.noise) not in (0, 2):
            raise ValueError("pairs and noise: two arms each")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """Nothing besides the evaluation."""
    return {}


def run(config: Config, context: Any) -> dict[str, int]:
    """Writes the tables; returns the number of items compared."""
    evaluation = Path(context.inputs[0].folder)
    found = of_run(context.run_dir, evaluation, config)
    step_dir = Path(context.step_dir)
    write_atomic(step_dir / "control.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
    write_atomic(step_dir / FILE, document(found))
    items = max((arm["items"] for arm in found["arms"].values()), default=0)
    return {"rows": items, "accepted": items}


def intact(folder: Path) -> bool:
    """Whether the tables are there."""
    return (folder / FILE).exists()


def where(step_dir: Path) -> str:
    return (step_dir / FILE).read_text()


def of_run(run_dir: str | Path, evaluation: Path, config: Config) -> dict[str, Any]:
    """The content of control.json. Raises `RunError` when the evaluation or an arm is not there."""
    scores = read_scores(evaluation, config.protocol)
    draws = {step.name: step for step in read_run(run_dir) if step.stage == "draw"}
    for arm in [name for pair in config.pairs for name in pair]:
        if arm not in scores:
            raise RunError(f"{evaluation} has no model {arm!r}: {', '.join(scores)}; name pairs of those under pairs")
    arms = {}
    for label, by_benchmark in scores.items():
        shares = [share for items in by_benchmark.values() for share in items.values()]
        arms[label] = {
            "trained_on": _trained_on(draws[label]) if label in draws else None,
            "items": len(shares),
            "accuracy": asdict(share_interval(shares)),
            "benchmarks": {name: asdict(share_interval(list(items.values()))) for name, items in by_benchmark.items()},
        }
    noise = config.noise if config.noise and all(name in scores for name in config.noise) else []
    return {
        "schema": 1,
        "protocol": config.protocol,
        "arms": arms,
        "pairs": [_pair(scores, *pair) for pair in config.pairs],
        "noise": _pair(scores, *noise) if noise else None,
    }


def read_scores(evaluation: Path, protocol: str) -> dict[str, dict[str, dict[str, float]]]:
    """label -> benchmark -> item -> share of its samples that were accepted, from an evaluation's item logs."""
    try:
        results = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunError(f"{evaluation} holds no finished evaluation (results.json)") from None
    found: dict[str, dict[str, dict[str, float]]] = {}
    for label, model in results["models"].items():
        found[label] = {}
        for benchmark, name in model["items"].items():
            samples: dict[str, list[bool]] = defaultdict(list)
            for line in (evaluation / name).read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if protocol not in row["judgements"]:
                    raise RunError(f"protocol: {protocol!r} is not one of {', '.join(row['judgements'])}")
                samples[str(row["id"])].append(row["judgements"][protocol]["verdict"] == ACCEPTED)
            found[label][benchmark] = {item: sum(right) / len(right) for item, right in samples.items()}
    return found


def _trained_on(step: Step) -> dict[str, Any]:
    rows = characters = passed = 0
    hardness = []
    for row in step.folder.read():
        rows += 1
        characters += len(row["output"])
        passed += row["was"] == ACCEPTED
        if row["hardness"] is not None:
            hardness.append(row["hardness"])
    return {
        "rows": rows,
        "passed": passed,
        "solution_chars": round(characters / rows, 1) if rows else 0.0,
        "hardness": round(sum(hardness) / len(hardness), 3) if hardness else None,
        "measure": step.config.get("hardness"),
    }


def _pair(scores: dict[str, dict[str, dict[str, float]]], first: str, second: str) -> dict[str, Any]:
    names = [name for name in scores[first] if name in scores[second]]
    by_benchmark = {name: _compare(scores[first][name], scores[second][name]) for name in names}
    pooled = compare(
        [share for name in names for share in _aligned(scores[first][name], scores[second][name])[0]],
        [share for name in names for share in _aligned(scores[first][name], scores[second][name])[1]],
    )
    return {
        "first": first,
        "second": second,
        "all": asdict(pooled),
        "benchmarks": {name: asdict(found) for name, found in by_benchmark.items()},
        "says": verdict(first, second, pooled),
    }


def _aligned(first: dict[str, float], second: dict[str, float]) -> tuple[list[float], list[float]]:
    both = [item for item in first if item in second]
    return [first[item] for item in both], [second[item] for item in both]


def _compare(first: dict[str, float], second: dict[str, float]) -> Comparison:
    return compare(*_aligned(first, second))


def verdict(first: str, second: str, found: Comparison) -> str:
    """What a paired difference says, in a sentence: better, worse, or not to be told apart, and how finely one could."""
    d = found.difference
    shown = f"{100 * d.value:+.1f} points [{100 * d.low:+.1f}, {100 * d.high:+.1f}], p = {found.p_value:.3f}"
    if d.low > 0:
        return f"{second} is better than {first}: {shown}."
    if d.high < 0:
        return f"{second} is worse than {first}: {shown}."
    seen = 100 * (d.high - d.low) / 2
    return (
        f"{second} and {first} can't be told apart: {shown}. With {d.items} items, differences under about "
        f"{seen:.0f} points don't show."
    )


def document(found: dict[str, Any]) -> str:
    """`control.md`: arms, paired differences, and what they say."""
    lines = [
        "# Control arms",
        "",
        f"Verdicts by `{markdown_cell(found['protocol'])}`; accuracies in per cent with 95 % intervals; undecided is not right.",
        "",
        "| arm | rows | of these verified | solution, characters | hardness | items | accuracy |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label, arm in found["arms"].items():
        on = arm["trained_on"]
        cells = ["–"] * 4
        if on:
            hardness = "–" if on["hardness"] is None else f"{on['hardness']:g} ({on['measure']})"
            cells = [str(on["rows"]), str(on["passed"]), f"{on['solution_chars']:.0f}", hardness]
        lines.append(
            f"| {' | '.join([markdown_cell(label), *cells, str(arm['items']), _interval(arm['accuracy'])])} |"
        )
    lines += ["", "| comparison | benchmark | items | difference | only first / only second right | p |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    pairs = [*found["pairs"], *([found["noise"]] if found["noise"] else [])]
    for pair in pairs:
        name = f"{pair['first']} -> {pair['second']}"
        for benchmark, compared in [("all", pair["all"]), *pair["benchmarks"].items()]:
            d = compared["difference"]
            lines.append(
                f"| {markdown_cell(name)} | {markdown_cell(benchmark)} | {d['items']} | {100 * d['value']:+.1f} "
                f"[{100 * d['low']:+.1f}, {100 * d['high']:+.1f}] | {compared['only_first']} / {compared['only_second']} | "
                f"{compared['p_value']:.3f} |"
            )
    lines += ["", *(f"- {markdown_cell(pair['says'])}" for pair in found["pairs"])]
    if found["noise"]:
        noise = found["noise"]
        lines.append(
            f"- Noise: two draws of the same kind ({markdown_cell(noise['first'])}, {markdown_cell(noise['second'])}) differ by "
            f"{100 * noise['all']['difference']['value']:+.1f} points. A difference no larger than that is no finding."
        )
    lines.append("- Each arm was trained once: intervals cover the choice of items, not that of training seeds.")
    return "\n".join(lines) + "\n"


def _interval(estimate: dict[str, Any]) -> str:
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"

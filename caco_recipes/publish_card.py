"""The dataset's card: `cards/dataset_card.md` filled with the run's own facts, with YAML metadata for the Hub.

Nothing measured (seconds, dates) stands in it, so that the same run gives the same card. All text that comes from rows
(sources, licences, reasons, model names) is escaped: a row can't write markup into the card.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from caco_recipes import __version__
from caco_recipes.decontamination_card import coverage
from caco_recipes.difficulty_histogram import Histograms
from caco_recipes.funnel import Step, by_code, markdown_cell, markdown_table, recorded_steps
from caco_recipes.identity import receipts
from caco_recipes.publish_rows import CONFIGS, prompts_of
from caco_recipes.publish_writer import Split

TEMPLATE = Path(__file__).parent / "cards" / "dataset_card.md"
# The Hub's identifiers of the licences that may occur; anything else is "other" there and named in the table.
HUB_LICENCES = {
    "mit": "mit",
    "apache-2.0": "apache-2.0",
    "apache 2.0": "apache-2.0",
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc-by-3.0": "cc-by-3.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
    "bsd-3-clause": "bsd-3-clause",
    "odc-by": "odc-by",
}
SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


@dataclass
class CardFacts:
    """What the rows say of themselves, gathered while they are written."""

    models: Counter = field(default_factory=Counter)  # (stage, model identity) -> receipts
    prompts: Counter = field(default_factory=Counter)  # (name, sha256) -> receipts
    machinery: Counter = field(default_factory=Counter)  # (sandbox | isolation | grader, version) -> receipts
    sources: Counter = field(default_factory=Counter)  # (source, licence) -> published rows
    seed_sources: Counter = field(default_factory=Counter)  # (source, licence) -> seeds
    origins: Counter = field(default_factory=Counter)  # problem_origin -> published rows
    judged: int = 0
    difficulty: Histograms = field(default_factory=Histograms)

    def published(self, row: dict[str, Any]) -> None:
        """Counts a row of the default config."""
        self.receipts(row["lineage"])
        self.sources[row["source"], row["licence"]] += 1
        self.origins[row["problem_origin"]] += 1
        self.judged += bool(row["judge_verdict"])
        self.difficulty.add(row, "kept")

    def seed(self, row: dict[str, Any]) -> None:
        """Counts a row of the seeds config."""
        self.seed_sources[row.get("source") or "", row.get("licence") or ""] += 1

    def receipts(self, lineage: str) -> None:
        """Counts the models, prompts and versions that a row's receipts name."""
        for receipt in receipts(lineage):
            stage = str(receipt.get("stage", ""))
            if receipt.get("model"):
                self.models[stage, str(receipt["model"])] += 1
            for prompt in prompts_of(receipt):
                self.prompts[prompt] += 1
            for key in ("sandbox", "isolation", "grader"):
                if receipt.get(key):
                    self.machinery[key, str(receipt[key])] += 1


def template_sha256() -> str:
    """The identity of the card's template."""
    return hashlib.sha256(TEMPLATE.read_bytes()).hexdigest()


def render(
    *,
    name: str,
    repo_id: str,
    description: str,
    splits: dict[str, dict[str, Split]],
    steps: list[Step],
    facts: CardFacts,
    partial: bool,
    calibration: str = "",
    planned: list[str] | None = None,
) -> str:
    """The card's text: YAML metadata between dashes, then Markdown.

    Args:
        name: the dataset's name.
        repo_id: where it is pushed to, may be empty.
        description: a paragraph of the recipe's author, may be empty.
        splits: config -> split -> what was written of it; a config without files is not declared.
        steps: the run's steps for the funnel, publishing last.
        facts: what the rows said of themselves.
        partial: the run is still going.
        calibration: how often the judges are wrong (`caco calibrate`), as Markdown; empty when nobody measured it.
        planned: names of the steps that it will have.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML: `cell` below escapes what comes from rows
    )
    environment.filters["cell"] = lambda value: markdown_cell(str(value))
    declared = {
        config: {split: written for split, written in of_config.items() if written.files}
        for config, of_config in splits.items()
        if any(written.files for written in of_config.values())
    }
    map_steps = [step for step in steps if step.folder is not None]
    recorded = recorded_steps(map_steps)
    metadata = yaml.safe_dump(_metadata(name, declared, facts), sort_keys=False, allow_unicode=True, width=100)
    return environment.get_template(TEMPLATE.name).render(
        metadata=metadata,
        name=name,
        repo_id=repo_id,
        description=description,
        version=__version__,
        rows={config: sum(written.rows for written in of_config.values()) for config, of_config in splits.items()},
        splits={split: written.rows for split, written in splits["default"].items()},
        columns=CONFIGS,
        funnel=markdown_table(steps, recorded, measured=False),
        recorded=recorded,
        partial=partial,
        planned=planned or [step.name for step in map_steps],
        progress=step_progress(map_steps),
        done=sum(step.complete for step in map_steps),
        steps=map_steps,
        models=sorted(facts.models.items()),
        prompts=sorted(facts.prompts.items()),
        machinery=sorted(facts.machinery.items()),
        sources=sorted(facts.sources.items()),
        seed_sources=sorted(facts.seed_sources.items()),
        origins=sorted(facts.origins.items()),
        judged=facts.judged,
        calibration=calibration,
        difficulty=facts.difficulty.markdown(),
        reasons=by_code(_all_reasons(steps)),
        decontaminated=[step.name for step in steps if step.stage == "decontaminate"],
        coverage=coverage(steps),
        contamination_power=_contamination_power(steps),
        deduplicated=[step.name for step in steps if step.stage == "dedup"],
    )


def step_progress(steps: list[Step]) -> list[tuple[str, int, int]]:
    """(step, rows done, rows that will come in) of every step under way whose inputs are finished."""
    by_name = {step.name: step for step in steps}
    going = []
    for step in steps:
        inputs = [by_name[name] for name in step.inputs if name in by_name]
        if step.complete or not inputs or not all(item.complete for item in inputs):
            continue
        total = sum(item.accepted for item in inputs)
        limit = step.config.get("limit")
        going.append((step.name, step.rows, min(total, limit) if isinstance(limit, int) else total))
    return going


def _contamination_power(steps: list[Step]) -> str:
    """What the run's check for contamination could have found, in Markdown; "" when none ran."""
    from caco_recipes.decontamination.power import card_section

    wanted = [
        index for step in steps if step.stage == "decontaminate" for index in step.config.get("indexes", ["all"])
    ]
    return card_section(dict.fromkeys(wanted)) if wanted else ""


def _all_reasons(steps: list[Step]) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    for step in steps:
        reasons.update(step.reasons)
    return dict(reasons)


def _metadata(name: str, configs: dict[str, dict[str, Split]], facts: CardFacts) -> dict[str, Any]:
    licences = sorted({hub_licence(licence) for _, licence in [*facts.sources, *facts.seed_sources]} - {""})
    return {
        "pretty_name": name,
        "language": ["en"],
        "license": licences[0] if len(licences) == 1 else licences or "unknown",
        "task_categories": ["text-generation"],
        "size_categories": [size_category(sum(written.rows for written in configs["default"].values()))],
        "tags": ["caco", "code-cot", "math", "reasoning", "synthetic", "verified", "arxiv:2510.04081"],
        "configs": [
            {"config_name": config}
            | ({"default": True} if config == "default" else {})
            | {"data_files": [{"split": split, "path": written.files} for split, written in splits.items()]}
            for config, splits in configs.items()
        ],
        "dataset_info": [
            {
                "config_name": config,
                "features": _features(CONFIGS[config]),
                "splits": [
                    {"name": split, "num_bytes": written.bytes, "num_examples": written.rows}
                    for split, written in splits.items()
                ],
                "download_size": sum(written.bytes for written in splits.values()),
                "dataset_size": sum(written.bytes for written in splits.values()),
            }
            for config, splits in configs.items()
        ],
    }


def _features(columns: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "list": "string"} if kind == "list[string]" else {"name": name, "dtype": kind}
        for name, kind in columns.items()
    ]


def hub_licence(licence: str) -> str:
    """The Hub's identifier of a licence as rows name it; `other` for one that it doesn't know, nothing for nothing."""
    if not licence.strip():
        return ""
    return HUB_LICENCES.get(licence.strip().lower(), "other")


def size_category(rows: int) -> str:
    """The Hub's size class of a number of rows."""
    return next(
        (label for limit, label in SIZE_CATEGORIES if rows < limit), "n>1T" if rows >= 10**12 else "10M<n<100M"
    )


def metadata_of(card: str) -> dict[str, Any]:
    """The YAML metadata of a card's text. Raises `ValueError` when it has none."""
    if not card.startswith("---\n") or "\n---\n" not in card[4:]:
        raise ValueError("the card has no YAML metadata between two lines of three dashes")
    return yaml.safe_load(card[4:].split("\n---\n", 1)[0])

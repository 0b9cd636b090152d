"""The `publish` stage: a run's rows as a dataset folder in Parquet, with a card, ready for `load_dataset` and the Hub.

In: the accepted rows of the steps under `input` (verify steps: `problem`, `solution`, `output_text`, `code`, and the
lineage), and every rejected or undecided row of every step above. Out: `runs/NAME/STEP/dataset/` with a config each for
accepted rows (`instruction, output, answer, code` first, as in the released Caco-1.3M; paper, section 4), rejected,
undecided, seeds and families, and a `README.md`. The columns are those of `publish_rows`. Every config has one split,
`train`; with `test_share` the default one has `test` beside it: about that share of all families, each as a whole.

A row whose id an earlier row has is not published again: it is counted as `duplicate:row`. A row that lacks one of the
four main columns is `bad_row:no COLUMN`; with a test split, one that joins a program of either side is
`bad_row:families of both splits`. With `licences`, rows under any other licence are left out, and their texts
are in no config. The same run gives the same bytes; the folder is replaced as a whole or not at all.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from caco_recipes import publish_card
from caco_recipes.calibration.tables import card_section, card_sha256
from caco_recipes.configs import StageConfig, option
from caco_recipes.events import read_events
from caco_recipes.families.split import split_of
from caco_recipes.funnel import Step, finished_parts, read_run
from caco_recipes.publish_rows import (
    CONFIGS,
    NEEDED,
    complete,
    default_row,
    dropped_row,
    family_rows,
    joined_families,
    missing,
)
from caco_recipes.publish_writer import DatasetWriter, Split
from caco_recipes.run_folder import RunError, write_atomic
from caco_recipes.verdicts import REJECTED, UNDECIDED, check_reason

VERSION = 1
WHOLE_RUN = True
FEATURES: dict[str, str] = {}
DATASET = "dataset"
PARTIAL = "partial"  # the dataset so far, for pushes while the run goes on
WHAT = ("title", "description", "licences", "rows_per_file", "test_share")  # keys that decide what is in the dataset
FILES = ".files"  # not *.json: whoever trains on the step takes JSON files beside the parts for rows


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a publish step."""

    title: str = option("The dataset's name in its card; by default the run's.", "")
    description: str = option("One paragraph for the card.", "")
    licences: list[str] = option(
        "Publish only rows under these licences (rows that have one); all when empty.", default_factory=list
    )
    rows_per_file: int = option("Rows of one Parquet file.", 50_000)
    test_share: float = option(
        "Share of the families that go to a split `test` of the default config, all rows of a family together; 0: none.",
        0.0,
    )
    hub: str = option("Push the dataset to this Hub repository (user/name); no push when empty.", "")
    private: bool = option("Make the Hub repository private.", True)
    push_every: int = option("Also push what there is after every N finished shards of the steps above; 0: never.", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows_per_file < 1:
            raise ValueError("rows_per_file must be at least 1")
        if not 0 <= self.test_share < 1:
            raise ValueError("test_share is a share of all families: at least 0, below 1")
        if self.push_every < 0 or (self.push_every and not self.hub):
            raise ValueError("push_every counts shards, and needs the repository's name under hub")


@dataclass
class Published:
    """What was written.

    Attributes:
        folder: the dataset's folder.
        read, accepted, duplicates: rows read, published, and left out as duplicates.
        reasons: why rows that were read were not published.
        splits: config -> split -> what was written.
    """

    folder: Path
    read: int = 0
    accepted: int = 0
    reasons: Counter = field(default_factory=Counter)
    splits: dict[str, dict[str, Split]] = field(default_factory=dict)

    def totals(self) -> dict[str, Any]:
        """The counts as a step's manifest holds them."""
        rejected = sum(self.reasons.values())
        return {"rows": self.read, "accepted": self.accepted, "rejected": rejected, "undecided": 0} | {
            "reasons": dict(sorted(self.reasons.items())),
            "facts": {},
        }


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The card's template, and every step above: their rejected rows are published too."""
    above = [folder.manifest() or {} for folder in (context.run.step_folder(name) for name in _steps_above(context))]
    fingerprints = [manifest.get("fingerprint", "") for manifest in above]
    calibration = {"calibration": digest} if (digest := card_sha256(context.run_dir)) else {}
    return {"card": publish_card.template_sha256(), "steps": fingerprints} | calibration


def run(config: Config, context: Any) -> dict[str, Any]:
    """Writes the dataset, and pushes it when the recipe names a repository. Returns the step's totals."""
    if getattr(context, "pushes", None) is not None:
        context.pushes.wait()
    steps = [step for step in read_run(context.run_dir) if step.name in _steps_above(context)]
    step_dir = Path(context.step_dir)
    published = assemble(
        steps,
        [folder.name for folder in context.inputs],
        step_dir / DATASET,
        config,
        name=config.title or context.recipe.name,
    )
    write_atomic(step_dir / FILES, json.dumps(_sizes(published.folder), indent=1, sort_keys=True) + "\n")
    shutil.rmtree(step_dir / PARTIAL, ignore_errors=True)
    if config.hub:
        from caco_recipes.hub import push

        print(push(published.folder, config.hub, private=config.private).text())
    return published.totals()


def intact(folder: Path) -> bool:
    """Whether every file of the dataset is there in its size."""
    try:
        return _sizes(folder / DATASET) == json.loads((folder / FILES).read_text())
    except (OSError, ValueError):
        return False


def where(step_dir: Path) -> str:
    return f"dataset: {step_dir / DATASET}"


def partial(run_dir: str | Path, repo_id: str = "", step: str = "") -> Path:
    """What a run has so far, as a dataset folder whose card says how far it is; for pushes while it goes on.

    Args:
        run_dir: the run's folder.
        repo_id: the repository that the card names.
        step: the publish step on whose behalf a running run pushes; there may be no verified row yet then.

    Raises `RunError` when no verify step has a row yet and no `step` is named.
    """
    run_dir = Path(run_dir)
    steps = read_run(run_dir)
    own_name, keys, inputs = _intended(run_dir, steps, step)
    if not step and not any(item.accepted for item in steps if item.name in inputs):
        raise RunError(f"{run_dir}: no verified row yet, there is nothing to push; see caco status {run_dir}")
    config = Config(**{key: keys[key] for key in WHAT if key in keys})
    config.hub = repo_id or str(keys.get("hub", ""))
    folder = run_dir / own_name / PARTIAL
    map_steps = [step for step in steps if step.stage != "publish" and step.has_rows]
    planned = planned_steps(run_dir, map_steps)
    going = len(planned) > len(map_steps) or not all(step.complete for step in map_steps)
    name = config.title or run_dir.resolve().name
    assemble(map_steps, inputs, folder, config, name=name, partial=going, planned=planned)
    return folder


def _intended(run_dir: Path, steps: list[Step], step: str) -> tuple[str, dict[str, Any], list[str]]:
    """(name, keys, inputs) of the publish step, which may not have begun: what is left out at the end is left out now.

    As the run's last command set out with it, else as its manifest says; without either, the verify steps' rows.
    """
    starts = [event.get("publish") for event in read_events(run_dir / "events.jsonl") if event["event"] == "run_start"]
    known = dict(starts[-1]) if starts and isinstance(starts[-1], dict) else {}
    for item in steps:
        if item.stage == "publish":
            known.setdefault(item.name, item.config | {"input": item.inputs})
    verified = [item.name for item in steps if item.stage == "verify"]
    name = step or next(iter(known), "publish")
    keys = known.get(name, {})
    return name, keys, [str(other) for other in keys.get("input") or []] or verified


def planned_steps(run_dir: Path, begun: list[Step]) -> list[str]:
    """The steps with rows that the run's last command set out to do, and those that it has."""
    plans = [event.get("plan") for event in read_events(run_dir / "events.jsonl") if event["event"] == "run_start"]
    last = [str(name) for name in plans[-1]] if plans and isinstance(plans[-1], list) else []
    return list(dict.fromkeys([*last, *(step.name for step in begun)]))


def assemble(
    steps: list[Step],
    inputs: list[str],
    out: Path,
    config: Config,
    name: str,
    partial: bool = False,
    planned: list[str] | None = None,
) -> Published:
    """Writes the dataset folder `out` from a run's steps.

    Args:
        steps: all steps whose dropped rows are published, in the run's order.
        inputs: names of the steps whose accepted rows are published.
        out: the folder; an earlier one is replaced when the new one is whole.
        config: the step's keys.
        name: the dataset's name in its card.
        partial: the run is still going; the card says so.
        planned: the steps that the run will have when it is finished, for the card of an unfinished one.

    Raises:
        RunError: an input step has no problems, solutions, outputs or programs in its rows.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.with_name(f".{out.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    published = Published(out)
    card = publish_card.CardFacts()
    writer = DatasetWriter(building, CONFIGS, config.rows_per_file)
    with writer:
        _write_accepted([step for step in steps if step.name in inputs], config, writer, published, card)
        for step in steps:
            _write_dropped(step, config, writer, card)
            if step.stage == "seeds":
                for row in rows_of(step):
                    if _allowed(row, config.licences):
                        card.seed(row)
                        writer.add("seeds", complete(row, "seeds"))
        published.splits = writer.splits
    text = publish_card.render(
        name=name,
        repo_id=config.hub,
        description=config.description,
        splits=published.splits,
        steps=[*steps, _own_step(published)],
        facts=card,
        partial=partial,
        calibration=card_section(steps[0].folder.folder.parent) if steps and steps[0].folder else "",
        planned=planned,
    )
    write_atomic(building / "README.md", text)
    _replace_folder(building, out)
    return published


def rows_of(step: Step, kind: str = "") -> Iterator[dict[str, Any]]:
    """The rows of a step's finished parts, in order; `kind` is empty (accepted) or `rejected` (and undecided)."""
    for record in finished_parts(step.folder, step.fingerprint):
        for batch in pq.ParquetFile(step.folder.part(record.index, kind)).iter_batches():
            yield from batch.to_pylist()


def _write_accepted(
    steps: Iterable[Step], config: Config, writer: DatasetWriter, published: Published, card: publish_card.CardFacts
) -> None:
    seen: set[str] = set()
    members: list[tuple[str, str, str, str, str]] = []
    splits: dict[str, str] = {}  # of the families
    for step in steps:
        _check_columns(step)
        for row in rows_of(step):
            published.read += 1
            made = default_row(row)
            family = made["family_id"] or made["id"]
            split = split_of(family, config.test_share)
            reason = ""
            allowed = _allowed(row, config.licences)
            if not allowed:
                reason = "bad_row:licence"
            elif column := missing(made):
                reason = f"bad_row:no {column}"
            elif made["id"] in seen:
                reason = "duplicate:row"
            elif _straddles(row, split, config.test_share):
                reason = "bad_row:families of both splits"
            if reason:
                published.reasons[check_reason(reason)] += 1
                dropped = row | {"verdict": REJECTED, "reason": reason}
                writer.add("rejected", dropped_row(dropped, "publish", "publish", "rejected", withheld=not allowed))
                continue
            seen.add(made["id"])
            published.accepted += 1
            members.append((family, made["id"], made["domain"], made["source"], row.get("variants") or ""))
            card.published(made)
            # By the family's name alone: the same side in every push of an unfinished run, and in other runs.
            splits[family] = split
            writer.add("default", made, split)
    for family in family_rows(members):
        writer.add("families", family | {"split": splits[family["family_id"]]})


def _write_dropped(step: Step, config: Config, writer: DatasetWriter, card: publish_card.CardFacts) -> None:
    for row in rows_of(step, "rejected"):
        target = "undecided" if row["verdict"] == UNDECIDED else "rejected"
        card.receipts(row.get("lineage") or "")
        if target == "rejected":
            card.difficulty.add(row, "rejected")
        writer.add(
            target, dropped_row(row, step.name, step.stage, target, withheld=not _allowed(row, config.licences))
        )


def _check_columns(step: Step) -> None:
    for path in step.folder.accepted_files()[:1]:
        lacking = [column for column in NEEDED.values() if column not in pq.read_schema(path).names]
        if lacking:
            raise RunError(
                f"publish reads {step.name}, whose rows have no {', '.join(lacking)}: "
                "name a verify step under input (it has problems, solutions, outputs and programs)"
            )


def _straddles(row: dict[str, Any], split: str, share: float) -> bool:
    """Whether a row joins programs of families on either side."""
    return share > 0 and any(split_of(other, share) != split for other in joined_families(row))


def _allowed(row: dict[str, Any], licences: list[str]) -> bool:
    return not licences or not row.get("licence") or row["licence"] in licences


def _steps_above(context: Any) -> list[str]:
    names = []
    for step in context.run.steps:
        if step.name == context.step.name:
            break
        if not step.whole_run:
            names.append(step.name)
    return names


def _own_step(published: Published) -> Step:
    sums = published.totals()
    reasons = sums.pop("reasons")
    sums.pop("facts")
    folder = None  # it has no parts
    return Step(
        name="publish",
        stage="publish",
        version=VERSION,
        folder=folder,
        inputs=[],
        config={},
        complete=True,
        reasons=reasons,
        counts={},
        seconds=None,
        **sums,
    )


def _sizes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _replace_folder(new: Path, target: Path) -> None:
    """`new` takes the place of `target`. A folder can't be replaced in one call: the old one steps aside first."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(new, target)
    shutil.rmtree(old, ignore_errors=True)


def dataset_sha256(folder: Path) -> str:
    """sha256 over the names and contents of a dataset folder's files: equal for equal datasets."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

"""Results in the Hub's forms: `.eval_results/*.yaml` for a model repository, and the older `model-index` of a card.

Written by `huggingface_hub`'s own classes, so that its validator accepts them. Only whole benchmarks with a Hub data set are
written: a sample of one is no entry of a leaderboard.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caco_recipes.evaluation.item_log import write_text
from caco_recipes.evaluation.protocols import PAPER, PROTOCOLS
from caco_recipes.evaluation.results import Evaluation, ModelResult


def eval_result_entries(evaluation: Evaluation, model: ModelResult, protocol: str = PAPER) -> list[Any]:
    """`EvalResultEntry` per benchmark; values in per cent, the setting in `notes`."""
    from huggingface_hub import EvalResultEntry

    date = datetime.now(UTC).strftime("%Y-%m-%d")
    entries = []
    for name, score in model.scores.items():
        problems = evaluation.problems[name]
        hub = problems.benchmark.hub
        if hub is None or "{config}" in hub.name or not problems.whole:
            continue
        found = score.protocols[protocol]
        revision = problems.revision if not problems.revision.startswith("sha256:") else None
        entries.append(
            EvalResultEntry(
                dataset_id=hub.name,
                task_id=next((config for config in hub.configs if config), None) or "default",
                value=round(100 * found.accuracy.value, 2),
                dataset_revision=revision or hub.revision,
                date=date,
                notes=_notes(evaluation, protocol, found.samples),
            )
        )
    return entries


def model_card_results(evaluation: Evaluation, model: ModelResult) -> list[Any]:
    """`EvalResult` per benchmark and protocol, for `ModelCardData(eval_results=…)`."""
    from huggingface_hub import EvalResult

    results = []
    for name, score in model.scores.items():
        problems = evaluation.problems[name]
        hub = problems.benchmark.hub
        for protocol in PROTOCOLS:
            found = score.protocols[protocol]
            results.append(
                EvalResult(
                    task_type="text-generation",
                    task_name="Mathematical reasoning" if problems.benchmark.kind == "answer" else "Reasoning",
                    dataset_type=hub.name if hub and "{config}" not in hub.name else name,
                    dataset_name=problems.benchmark.title,
                    dataset_split="+".join(hub.splits) if hub else "test",
                    metric_type="accuracy",
                    metric_name=f"{'pass@1' if found.samples == 1 else f'avg@{found.samples}'} ({protocol}, "
                    f"{found.items} items)",
                    metric_value=round(100 * found.accuracy.value, 2),
                )
            )
    return results


def write_hub_results(evaluation: Evaluation, model: ModelResult, folder: Path) -> list[Path]:
    """Writes `.eval_results/caco.yaml` (to be uploaded as it is) and `model-index.yaml` (for a card's header)."""
    import yaml
    from huggingface_hub import ModelCardData, eval_result_entries_to_yaml

    written = []
    entries = eval_result_entries(evaluation, model)
    if entries:
        path = folder / ".eval_results" / "caco.yaml"
        write_text(path, yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True))
        written.append(path)
    if model.scores:
        name = model.model.rstrip("/").split("/")[-1] or model.label
        card = ModelCardData(model_name=name, eval_results=model_card_results(evaluation, model))
        write_text(folder / "model-index.yaml", card.to_yaml() + "\n")
        written.append(folder / "model-index.yaml")
    return written


def _notes(evaluation: Evaluation, protocol: str, samples: int) -> str:
    shots = "zero-shot" if samples == 1 else f"zero-shot, mean of {samples} samples"
    frame = evaluation.config.get("frame", "")
    return f"{protocol} protocol, {shots}, prompt frame {frame}, caco-recipes"

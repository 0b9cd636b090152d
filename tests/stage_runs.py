"""Runs of a few stages on small files, through the real runner: what the stages' tests share."""

import json
from pathlib import Path
from typing import Any

import yaml

from caco_recipes import pipeline


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recording(stage: str, subject: str, text: str) -> dict[str, str]:
    return {"stage": stage, "subject": subject, "text": text, "source": "test", "licence": "CC0-1.0"}


def run_stages(
    folder: Path,
    stages: dict[str, dict[str, Any]],
    recordings: list[dict[str, str]] | None = None,
    engines: dict[str, dict[str, Any]] | None = None,
    **keys: Any,
) -> pipeline.Run:
    """Runs a recipe of `stages`; the engine `recorded` answers with `recordings`."""
    engines = dict(engines or {})
    if recordings is not None:
        path = write_json_lines(folder / "recordings.jsonl", recordings)
        engines["recorded"] = {"engine": "recorded", "path": str(path)}
    content = {"name": "test", "output_dir": str(folder / "runs"), "workers": 1, "engines": engines, "stages": stages}
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(content | keys, sort_keys=False))
    run = pipeline.load_run(recipe)
    pipeline.run_steps(run)
    return run


def kept(run: pipeline.Run, step: str) -> list[dict[str, Any]]:
    return list(run.step_folder(step).read())


def dropped(run: pipeline.Run, step: str) -> list[dict[str, Any]]:
    return list(run.step_folder(step).read("rejected"))


def requests_stored(run: pipeline.Run) -> int:
    """Requests that the steps' answers stand on."""
    total = 0
    for step in run.steps:
        manifest = run.step_folder(step.name).manifest() or {}
        total += manifest["totals"].get("facts", {}).get("requests", 0)
    return total

"""What a result says of itself: everything that made it, so that somebody else can make it again.

`results.json` holds the configuration, the benchmarks (source, revision, fingerprint, number of items), the prompts' hashes,
the models' identities, decoding, protocol and grader versions, packages, the commit of this repository, the numbers, and where
the raw generations and the per-item logs lie (relative to the file).
"""

import importlib.metadata
import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caco_recipes import __version__
from caco_recipes.evaluation.item_log import write_text
from caco_recipes.evaluation.loading import Problems
from caco_recipes.evaluation.metrics import Comparison, Estimate
from caco_recipes.evaluation.protocols import PROTOCOL_VERSIONS
from caco_recipes.evaluation.scores import BenchmarkScore
from caco_recipes.grading import GRADER_VERSION

SCHEMA_VERSION = 1
_PACKAGES = ("torch", "transformers", "vllm", "datasets", "huggingface_hub", "math-verify", "sympy", "numpy")


@dataclass(slots=True)
class ModelResult:
    """One model's numbers. `identity` is what the generation store calls it."""

    label: str
    model: str
    identity: str
    scores: dict[str, BenchmarkScore] = field(default_factory=dict)
    average: dict[str, Estimate] = field(default_factory=dict)
    paper_row: str = ""


@dataclass(slots=True)
class Evaluation:
    """A finished evaluation: models in the recipe's order, the first one being the base of comparisons."""

    name: str
    models: list[ModelResult]
    problems: dict[str, Problems]
    prompts: dict[str, dict[str, str]]
    decoding: dict[str, Any]
    config: dict[str, Any]
    comparisons: dict[str, dict[str, dict[str, Comparison]]] = field(default_factory=dict)
    items_total: int = 0

    @property
    def items(self) -> int:
        """Graded responses over all models."""
        return self.items_total


def as_json(evaluation: Evaluation, folder: Path) -> dict[str, Any]:
    """The content of `results.json`; see the module's docstring."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": evaluation.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": {
            "caco_recipes": __version__,
            "commit": repository_commit(),
            "python": platform.python_version(),
            "packages": package_versions(),
            "protocols": PROTOCOL_VERSIONS,
            "grader": GRADER_VERSION,
        },
        "config": evaluation.config,
        "decoding": evaluation.decoding,
        "prompts": evaluation.prompts,
        "benchmarks": {
            name: {
                "title": problems.benchmark.title,
                "source": problems.source,
                "revision": problems.revision,
                "fingerprint": problems.fingerprint,
                "problems": problems.total,
                "evaluated": len(problems),
            }
            for name, problems in evaluation.problems.items()
        },
        "models": {
            model.label: {
                "model": model.model,
                "identity": model.identity,
                "paper_row": model.paper_row,
                "average": {protocol: asdict(estimate) for protocol, estimate in model.average.items()},
                "benchmarks": {name: score.as_dict() for name, score in model.scores.items()},
                "items": {name: f"{model.label}/items-{name}.jsonl" for name in model.scores},
            }
            for model in evaluation.models
        },
        "comparisons": {
            label: {
                name: {protocol: asdict(comparison) for protocol, comparison in by_protocol.items()}
                for name, by_protocol in by_benchmark.items()
            }
            for label, by_benchmark in evaluation.comparisons.items()
        },
        "generations": "store" if (folder / "store").exists() else "",
    }


def write_results(evaluation: Evaluation, folder: Path) -> dict[str, Any]:
    """Writes `results.json` and returns its content."""
    content = as_json(evaluation, folder)
    write_text(folder / "results.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return content


def package_versions() -> dict[str, str]:
    """Versions of the packages that can move a number, as far as they are installed; nothing is imported."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def repository_commit() -> str:
    """The commit that this code is at, with `+changes` if files differ; empty outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "."],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+changes" if changed else "")

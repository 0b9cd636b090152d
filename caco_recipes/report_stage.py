"""The `report` stage: the run's page and its Markdown, as `caco report RUN` would by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes.configs import StageConfig

VERSION = 1
WHOLE_RUN = True
FEATURES: dict[str, str] = {}


@dataclass(kw_only=True)
class Config(StageConfig):
    """A report step has no keys of its own."""


def run(config: Config, context: Any) -> dict[str, int]:
    """Writes the report into the run's folder."""
    from caco_recipes.report import write_report

    write_report(Path(context.run_dir))
    return {}


def intact(folder: Path) -> bool:
    """A report is cheap and shows the run as it is now: it is always written again."""
    return False


def where(step_dir: Path) -> str:
    return f"report: {step_dir.parent / 'report.html'}"

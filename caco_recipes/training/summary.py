"""A training run in a few figures: `training_summary.json`, and the table in the model card."""

import json
from pathlib import Path
from typing import Any


def of(state: dict[str, Any], counts: dict[str, Any]) -> dict[str, Any]:
    """The figures of a trainer's state (as in `trainer_state.json`) and of `Tokens.counts` or GRPO's counts.

    Returns steps, epochs, real tokens seen, rows by outcome, and the first and the last logged loss (nats per token), or
    for GRPO the mean reward of the first and of the last ten logs.
    """
    history = state["log_history"]
    rewards = [entry["reward"] for entry in history if entry.get("reward") is not None]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    if any("reward" in entry for entry in history):
        course = {"first_reward": _mean(rewards[:10]), "last_reward": _mean(rewards[-10:])}
    else:
        course = {"first_loss": _mean(losses[:1]), "last_loss": _mean(losses[-1:])}
    return {
        "steps": state["global_step"],
        "epochs": round(state["epoch"] or 0, 3),
        **course,
        "tokens_seen": int(max((entry.get("num_tokens", 0) for entry in history), default=0)),
        "rows": counts["rows"],
        "rows_by_outcome": dict(counts["outcomes"]),
    }


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 6) if values else None


def table(facts: dict[str, Any]) -> str:
    """Markdown rows of the single figures."""
    shown = {key: value for key, value in facts.items() if value is not None and not isinstance(value, dict)}
    return "\n".join(
        f"| {key.replace('_', ' ')} | {f'{value:,}' if isinstance(value, int) else value} |"
        for key, value in shown.items()
    )


def write(output_dir: Path, facts: dict[str, Any]) -> None:
    """Writes `training_summary.json`: the last thing a run does, so its presence means that the run is finished."""
    path = output_dir / "training_summary.json"
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    temporary.replace(path)

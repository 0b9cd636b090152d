"""Where a run goes on from, and what is left to do when it has no step left."""

import os
from pathlib import Path
from typing import Any

from caco_recipes.training import checkpoints, same_run, summary
from caco_recipes.training.config import TrainingRecipe


def find_checkpoint(recipe: TrainingRecipe, content_key: str) -> Path | None:
    """The last whole checkpoint of the same run, or None. Raises `RecipeError` if `output_dir` holds another run's.

    With `resume: false` the checkpoints that are there are renamed.
    """
    output_dir = Path(recipe.training["output_dir"])
    main_rank = int(os.environ.get("RANK", 0)) == 0
    if not recipe.data.resume:
        if main_rank:
            checkpoints.set_aside(output_dir)
        return None
    checkpoint, skipped = checkpoints.last_good(output_dir)
    if main_rank:
        for message in skipped:
            print(message, flush=True)
    if checkpoint is None:
        return None
    same_run.check(recipe, content_key)
    if main_rank:
        print(f"resuming from {checkpoint}", flush=True)
    return checkpoint


def finish(recipe: TrainingRecipe, counts: dict[str, Any], checkpoint: Path) -> int:
    """Puts a finished run's model in place from its last checkpoint, if the run was killed before it did so itself."""
    output_dir = Path(recipe.training["output_dir"])
    if int(os.environ.get("RANK", 0)) == 0:
        if not (output_dir / "training_summary.json").exists():
            checkpoints.copy_model(checkpoint, output_dir)
            summary.write(output_dir, summary.of(checkpoints.state_of(checkpoint), counts))
        print(f"this run is finished; the model is in {output_dir}")
    return 0

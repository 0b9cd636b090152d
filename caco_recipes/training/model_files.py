"""Which files of a model go to the Hub, and what they may say about the machine that made them.

Three things in an output folder don't belong there. `training_args.bin` is a pickle: whoever loads it runs what it says,
and it holds every path of the run. The trainer's state is of no use to anyone but the run itself. And configurations name
the base model by the folder that it was loaded from. Nothing is changed where it lies, because an adapter on this machine
needs that folder; `stage` makes a second folder, of links where a file goes as it is.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from caco_recipes.training.checkpoints import RESUME_ONLY

PICKLES = ("training_args",)
# Of the output folder, beside a checkpoint's own files.
ABOUT = ("README.md", "recipe.yaml", "loss.png", "reward.png", "training_summary.json")
# JSON keys that hold a path where the model or a checkpoint came from one.
PLACES = ("name_or_path", "best_model_checkpoint")


def stage(source: Path, folder: Path, about: Path | None = None, with_state: bool = False) -> Path:
    """Makes `folder` hold what may be pushed of the model in `source`; returns it.

    Args:
        source: an output folder or a checkpoint.
        folder: made anew; its files are links as long as the file system has them.
        about: where the card, the recipe and the plots lie; by default `source`.
        with_state: keep the trainer's state too (`hub_strategy: checkpoint`), but no card: that stands beside it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    left_out = PICKLES if with_state else PICKLES + RESUME_ONLY
    for path in sorted(source.rglob("*") if with_state else source.iterdir()):
        name = path.relative_to(source)
        hidden = name.name.startswith((".", "_")) or name.suffix == ".tmp"
        if path.is_file() and not hidden and not name.name.startswith(left_out) and name.name not in ABOUT:
            _put(path, folder / name)
    if not with_state:
        for name in ABOUT:
            if (path := (about or source) / name).is_file():
                _put(path, folder / name)
    return folder


def neutral_name(model: str) -> str:
    """A model's name on the Hub as it is; a local folder by its last name only."""
    is_place = model.startswith(("/", "~", ".")) or "\\" in model or model.count("/") > 1 or Path(model).exists()
    return Path(model.replace("\\", "/")).name if model and is_place else model


def _put(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json" and path.name.endswith(("config.json", "trainer_state.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        clean = _without_places(values)
        if clean != values:
            target.write_text(json.dumps(clean, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            return
    for make in (os.link, os.symlink):  # a hard link stays when the trainer deletes the checkpoint during the push
        try:
            make(path.resolve(), target)
            return
        except OSError:
            continue
    shutil.copyfile(path, target)


def _without_places(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: neutral_name(item) if isinstance(item, str) and key.endswith(PLACES) else _without_places(item)
        for key, item in value.items()
    }

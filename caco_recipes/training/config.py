"""A training recipe as typed values: our own keys, TRL's arguments and `ModelConfig`, checked before anything is loaded.

TRL's own parser takes YAML values as they come (`dtype: bf16`, `per_device_train_batch_size: 2.5` and a misspelt choice
all pass it). Here every key is looked up, every value is checked against its annotation and its choices, and the
message names file, key and the nearest valid name. Overrides keep TRL's form: `--key value`, dotted keys for nesting.
"""

import dataclasses
import enum
import os
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from caco_recipes.recipe import (
    RecipeError,
    apply_overrides,
    convert,
    load_dataclass,
    load_yaml,
    nearest,
    parse_overrides,
)


def option(help: str, default: Any = None) -> Any:
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(kw_only=True)
class Source:
    """One part of a mixture: where its rows come from and how many of them."""

    name: str | None = option("Dataset on the Hub.")
    revision: str | None = option("Commit, tag or branch of it; give a commit to pin the data.")
    config: str | None = option("Configuration of the Hub dataset.")
    split: str = option("Split.", "train")
    path: list[str] = option("Local files, a folder of them, or a step folder of a run.", [])
    columns: dict[str, str] = option("Field of the text -> column of the data, where the names differ.", {})
    rows: int | None = option("Draw this many rows (seeded); all by default.")
    weight: float | None = option("Share of the mixture, relative to the other sources' weights.")

    def __post_init__(self) -> None:
        if bool(self.name) == bool(self.path):
            raise ValueError("give either a Hub dataset (name) or local data (path), one of the two")
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"rows is {self.rows}: at least 1")
        if self.weight is not None and self.weight <= 0:
            raise ValueError(f"weight is {self.weight}: it must be positive")

    @property
    def label(self) -> str:
        return self.name or ", ".join(self.path)


@dataclass(kw_only=True)
class RowKeys:
    """Keys of every training recipe: where its rows come from, and how the run goes on."""

    dataset_name: str | None = option("Dataset on the Hub, such as LHL3341/Caco-1.3M.")
    dataset_revision: str | None = option("Commit, tag or branch of it; give a commit to pin the data.")
    dataset_config: str | None = option("Configuration of the Hub dataset.")
    dataset_split: str = option("Split.", "train")
    dataset_path: list[str] = option("Local files (.parquet, .jsonl), a folder, or a step folder of a run.", [])
    columns: dict[str, str] = option("Field of the text -> column of the data, where the names differ.", {})
    dataset_rows: int | None = option("Train on this many rows, drawn by content and seed (data.py); all by default.")
    dataset_seed: int = option("Seed of every draw and shuffle of rows before training.", 42)
    resume: bool = option("Go on from the last good checkpoint in output_dir; false starts anew.", True)
    evaluation_results: list[str] = option("Result files of `caco evaluate` for the model card's table.", [])

    dataset_mixture = ()
    dataset_streaming = False

    def __post_init__(self) -> None:
        places = {"dataset_name (Hub)": self.dataset_name, "dataset_path (local)": self.dataset_path}
        if "dataset_mixture" in self.__dataclass_fields__:
            places["dataset_mixture"] = self.dataset_mixture
        if sum(map(bool, places.values())) != 1:
            *first, last = places
            raise ValueError(f"give exactly one of {', '.join(first)} and {last}")
        if self.dataset_rows is not None and self.dataset_rows < 1:
            raise ValueError(f"dataset_rows is {self.dataset_rows}: at least 1")

    @property
    def sources(self) -> list[Source]:
        if self.dataset_mixture:
            return self.dataset_mixture
        return [
            Source(
                name=self.dataset_name,
                revision=self.dataset_revision,
                config=self.dataset_config,
                split=self.dataset_split,
                path=self.dataset_path,
            )
        ]


@dataclass(kw_only=True)
class DataConfig(RowKeys):
    """Our own keys of an SFT recipe: the text and the rows."""

    text_format: Literal["codegen", "codegen_domain", "instruction"] = option(
        "Which of the paper's two texts (text_format.py); codegen_domain is codegen with condition_on."
    )
    condition_on: Literal["none", "domain"] = option(
        "codegen: put the row's domain before its program, as a comment without loss; the paper doesn't.", "none"
    )
    dataset_mixture: list[Source] = option("Several sources, instead of dataset_name or dataset_path.", [])
    dataset_streaming: bool = option(
        "Read rows as training goes, for data larger than the disk; needs max_steps.", False
    )
    shuffle_buffer: int = option("Rows held to shuffle a stream.", 10_000)
    overlong: Literal["truncate", "drop"] = option("Rows over max_length: cut (the paper) or leave out.", "truncate")
    loss_on_prompt: bool = option("Put the prompt into the loss; the paper doesn't.", False)
    eval_rows: int = option("Rows held out, by content and seed, for the evaluation loss.", 0)
    token_cache: str | None = option("Folder of tokenised data; by default `caco` in the Hugging Face cache.")

    def __post_init__(self) -> None:
        if self.text_format is None:
            raise ValueError("the key 'text_format' is missing: codegen or instruction")
        if self.condition_on == "domain":
            if self.text_format == "instruction":
                raise ValueError(
                    "condition_on: domain is for text_format codegen, where CodeGen learns to write programs"
                )
            self.text_format = "codegen_domain"
        super().__post_init__()
        if self.eval_rows < 0:
            raise ValueError(f"eval_rows is {self.eval_rows}: it can't be negative")
        weights = [source.weight for source in self.dataset_mixture]
        if any(weights) and not all(weights):
            raise ValueError("dataset_mixture: give every source a weight, or none of them")


@dataclass(kw_only=True)
class TrainingRecipe:
    """A checked recipe: our keys as a dataclass, the trainer's and the model's as plain converted values.

    `training` and `model` become the trainer's arguments and `ModelConfig` later: making those starts the process group,
    and rows are tokenised before that, so that no collective can time out meanwhile.
    """

    path: str
    data: Any
    training: dict[str, Any]
    model: dict[str, Any]

    @property
    def resolved(self) -> dict[str, Any]:
        """Every key that was set, flat, as it can be written to a recipe again."""
        cls = type(self.data)
        ours = {key: value for key, value in dataclasses.asdict(self.data).items() if value != _default_of(cls, key)}
        return {**ours, **self.model, **self.training}


@dataclass(kw_only=True)
class SFTRecipe(TrainingRecipe):
    """An SFT recipe: `training` are keys of `SFTConfig`."""

    data: DataConfig


# Keys of SFTConfig that would do nothing here, and what does the job.
NO_EFFECT = {
    "dataset_text_field": "the text is built by text_format",
    "dataset_kwargs": "rows are prepared by caco_recipes.training.tokens",
    "completion_only_loss": "the loss is on the completion alone; loss_on_prompt: true changes it",
    "assistant_only_loss": "the loss is on the completion alone; loss_on_prompt: true changes it",
    "truncation_mode": "overlong: truncate | drop says what happens to long rows",
    "chat_template_path": "the template of text_format is saved with the model",
    "pad_token": "padding uses the tokenizer's pad token, or its end token",
    "shuffle_dataset": "rows are shuffled by dataset_seed and by the trainer's sampler",
    "eval_packing": "held-out rows are never packed",
    "resume_from_checkpoint": "resume: true goes on from the last good checkpoint in output_dir",
    "eos_token": "the end token comes from text_format",
    "trust_remote_code": "code from a model repository is never run here",
}
# Keys that people copy from older recipes, and what replaced them.
RENAMED = {
    "torch_dtype": "dtype",
    "max_seq_length": "max_length",
    "warmup_ratio": "warmup_steps (a fraction below 1 is a ratio)",
    "evaluation_strategy": "eval_strategy",
    "overwrite_output_dir": "resume (false starts anew)",
    "group_by_length": "train_sampling_strategy: group_by_length",
    "dataset_train_split": "dataset_split",
    "dataset_mixer": "dataset_mixture",
    "logging_dir": "report_to and the tracker's own variables",
    "push_to_hub_model_id": "hub_model_id",
    "save_safetensors": "nothing: safetensors is the only format",
    "no_cuda": "use_cpu",
}


def read_recipe(path: str | Path, overrides: list[str]) -> SFTRecipe:
    """The SFT recipe in `path` with `--key value` overrides on top.

    Raises `RecipeError` for anything that is not valid, before any model or dataset is touched.
    """
    from trl import SFTConfig

    return SFTRecipe(**read_parts(path, overrides, DataConfig, SFTConfig, NO_EFFECT))


def read_parts(
    path: str | Path, overrides: list[str], data_class: type, arguments_class: type, no_effect: dict[str, str]
) -> dict[str, Any]:
    """The fields of a `TrainingRecipe`: our keys as `data_class`, the trainer's as those of `arguments_class`."""
    from trl import ModelConfig

    ours, training, model = split_keys(
        apply_overrides(load_yaml(path), parse_overrides(overrides)),
        (data_class, arguments_class, ModelConfig),
        str(path),
    )
    for key, instead in no_effect.items():
        if key in training:
            raise RecipeError(f"{path}: {key!r} has no effect here: {instead}")
    for key in ("dataset_path", "evaluation_results"):
        if type(ours.get(key)) is str:
            ours[key] = [ours[key]]
    for source in ours.get("dataset_mixture") or []:
        if isinstance(source, dict) and type(source.get("path")) is str:
            source["path"] = [source["path"]]
    training = convert_fields(arguments_class, training, str(path))
    model = convert_fields(ModelConfig, model, str(path))
    for key, holder in (("model_name_or_path", model), ("output_dir", training)):
        if not holder.get(key):
            raise RecipeError(f"{path}: the key {key!r} is missing")
    return {
        "path": str(path),
        "data": load_dataclass(data_class, ours, str(path)),
        "training": training,
        "model": model,
    }


def split_keys(mapping: dict[str, Any], classes: tuple[type, ...], where: str) -> list[dict[str, Any]]:
    """`mapping` as one dictionary per dataclass, each key in the first class that has it; `env` is exported.

    Raises `RecipeError` for a key that no class has.
    """
    environment = mapping.pop("env", None) or {}
    if not isinstance(environment, dict):
        raise RecipeError(f"{where}: env: expected names and values")
    os.environ.update({str(name): str(value) for name, value in environment.items()})
    names = [{item.name for item in dataclasses.fields(cls) if item.init} for cls in classes]
    parts: list[dict[str, Any]] = [{} for _ in classes]
    for key, value in mapping.items():
        for part, valid in zip(parts, names):
            if key in valid:
                part[key] = value
                break
        else:
            hint = f"it is now {RENAMED[key]}" if key in RENAMED else nearest(str(key), set().union(*names))
            raise RecipeError(f"{where}: unknown key {key!r}; {hint}")
    return parts


def convert_fields(cls: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    """`values` checked against the annotations and choices of a TRL or transformers dataclass, without making one."""
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}
    converted = {}
    for key, value in values.items():
        hint, choices = _plain(hints[key])
        choices = choices or fields[key].metadata.get("choices")
        if value is False and choices and "no" in choices:
            raise RecipeError(f"{where}: {key}: write 'no' in quotes (YAML reads it as false)")
        converted[key] = convert(value, hint, f"{where}: {key}")
        if type(value) is int and type(converted[key]) is float:
            converted[key] = value  # 15 steps, not 15.0
        if choices and converted[key] is not None and converted[key] not in choices:
            raise RecipeError(
                f"{where}: {key}: {converted[key]!r} is not one of {', '.join(choices)}; "
                f"{nearest(str(converted[key]), choices)}"
            )
    return converted


def _plain(hint: Any) -> tuple[Any, list[str] | None]:
    """An annotation without its enum members (which become text with choices) and without library objects."""
    members = typing.get_args(hint) if typing.get_origin(hint) not in (list, dict, Literal) else ()
    kept, choices = [], None
    for member in members:
        if isinstance(member, type) and issubclass(member, enum.Enum):
            choices = [str(item.value) for item in member]
        elif dataclasses.is_dataclass(member) or any(
            isinstance(inner, type) and issubclass(inner, enum.Enum) for inner in typing.get_args(member)
        ):
            continue
        else:
            kept.append(member)
    if not members or len(kept) == len(members):
        return hint, None
    return typing.Union[tuple(kept)], choices  # noqa: UP007 - built from a tuple


def _default_of(cls: type, key: str) -> Any:
    item = next(item for item in dataclasses.fields(cls) if item.name == key)
    return item.default if item.default is not dataclasses.MISSING else item.default_factory()

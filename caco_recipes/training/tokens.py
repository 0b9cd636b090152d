"""Rows → token ids, labels and packs: done once, kept on disk, shared by every rank and every later run.

The first local rank tokenises with all cores and renames the finished folder into place; the others wait for that name.
All this happens before the process group exists, so 1.35M rows can take as long as they need: there is no collective
that could time out. The folder's name is a hash of everything that decides its content (data, tokenizer, text, limits).
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError
from caco_recipes.training import data, text_format
from caco_recipes.training.config import SFTRecipe

VERSION = 1  # bump when the same rows would give other tokens
PARALLEL_FROM = 20_000  # rows; below, starting processes costs more than it saves


@dataclass
class Tokens:
    """What the trainer gets.

    Attributes:
        train: `Dataset` with `input_ids`, `labels` (and `seq_lengths` when packed), or an `IterableDataset`.
        evaluation: held-out rows, or None.
        counts: `rows`, `outcomes` (word -> rows), `tokens`, `loss_tokens`, `longest`, `sequences`, `evaluation_rows`;
            for a stream the outcomes grow while training reads.
        key: hash of everything that decides the content.
    """

    train: Any
    evaluation: Any
    counts: dict[str, Any]
    key: str


def prepare(recipe: SFTRecipe, tokenizer: Any) -> Tokens:
    """The recipe's rows as tokens, from the cache or made now.

    Raises `RecipeError`: everything of `data.load_rows`, no row that could be trained on, no end token.
    """
    format_ = text_format.FORMATS[recipe.data.text_format]
    try:
        format_.end_token_of(tokenizer)
    except ValueError as error:
        raise RecipeError(f"{recipe.path}: {error}") from None
    key = content_key(recipe, tokenizer)
    if recipe.data.dataset_streaming:
        return _stream(recipe, tokenizer, format_, key)
    cache = cache_folder(recipe)
    folder = cache / key
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"{key}.lock"):
            if not folder.exists():
                _build(recipe, tokenizer, format_, folder)
    else:
        _wait_for(folder)
    return _open(folder, key)


def cache_folder(recipe: SFTRecipe) -> Path:
    """Where tokenised data lies; it can be deleted at any time."""
    if recipe.data.token_cache:
        return Path(recipe.data.token_cache).expanduser()
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "caco" / "tokens"


def content_key(recipe: SFTRecipe, tokenizer: Any) -> str:
    """First 32 hex digits of the hash over data, tokenizer, text and limits; never over a path or a date."""
    config = recipe.data
    facts = {
        "version": VERSION,
        "rows": data.identity(config),
        "draw": [config.dataset_rows, config.dataset_seed, config.eval_rows],
        "text": [config.text_format, text_format.FORMATS[config.text_format].prompt, config.loss_on_prompt],
        "limit": [_max_length(recipe), config.overlong],
        "packing": recipe.training.get("packing_strategy", "bfd") if recipe.training.get("packing") else None,
        "tokenizer": tokenizer_hash(tokenizer),
    }
    return hashlib.sha256(data.canonical(facts).encode()).hexdigest()[:32]


def tokenizer_hash(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else data.canonical(tokenizer.get_vocab())
    return hashlib.sha256(f"{type(tokenizer).__name__}\0{tokenizer.eos_token}\0{text}".encode()).hexdigest()


def preview(recipe: SFTRecipe, tokenizer: Any, count: int = 3) -> list[dict[str, list[int]]]:
    """The first `count` training rows as `input_ids` and `labels`, unpacked."""
    format_ = text_format.FORMATS[recipe.data.text_format]
    shown = []
    for row in data.load_rows(recipe.data, format_.fields):
        encoded = _encode({field: [row[field]] for field in format_.fields}, recipe, tokenizer, format_)
        if encoded["input_ids"][0]:
            shown.append({"input_ids": encoded["input_ids"][0], "labels": encoded["labels"][0]})
        if len(shown) == count:
            break
    return shown


def _max_length(recipe: SFTRecipe) -> int | None:
    return recipe.training.get("max_length", 1024)  # TRL's default


def _encode(batch: dict[str, list], recipe: SFTRecipe, tokenizer: Any, format_: text_format.TextFormat) -> dict:
    config = recipe.data
    encoded = text_format.encode(
        format_, batch, tokenizer, _max_length(recipe), config.overlong, config.loss_on_prompt
    )
    encoded["loss_length"] = [sum(label != text_format.IGNORED for label in labels) for labels in encoded["labels"]]
    return encoded


def _build(recipe: SFTRecipe, tokenizer: Any, format_: text_format.TextFormat, folder: Path) -> None:
    from datasets import Features, List, Value

    config, training = recipe.data, recipe.training
    rows = data.load_rows(config, format_.fields)
    total = len(rows)
    if config.eval_rows >= total:
        raise RecipeError(f"eval_rows: {config.eval_rows:,} of {total:,} rows would leave nothing to train on")
    held_out = (
        set(data.content_order(rows, config.dataset_seed + 1)[: config.eval_rows]) if config.eval_rows else set()
    )

    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        processes = training.get("dataset_num_proc") or (
            len(os.sched_getaffinity(0)) if total >= PARALLEL_FROM else None
        )
        encoded = rows.map(
            _encode,
            batched=True,
            fn_kwargs={"recipe": recipe, "tokenizer": tokenizer, "format_": format_},
            remove_columns=rows.column_names,
            features=Features(
                {
                    "input_ids": List(Value("int32")),
                    "labels": List(Value("int32")),
                    "outcome": Value("string"),
                    "loss_length": Value("int32"),
                }
            ),
            num_proc=processes,
            load_from_cache_file=False,  # a function of an importable module is cached by name, not by body
            cache_file_name=str(temporary / "encoded.arrow"),
            new_fingerprint=folder.name,
            desc="Tokenising",
        )
        outcomes = list(encoded["outcome"])
        kept = [i for i, word in enumerate(outcomes) if word in (text_format.KEPT, text_format.TRUNCATED)]
        counts = {"rows": total, "outcomes": dict(Counter(outcomes))}
        chosen = [i for i in kept if i not in held_out]
        if not chosen:
            raise RecipeError(_nothing_left(counts["outcomes"], recipe))
        columns = encoded.select_columns(["input_ids", "labels"])
        lengths = list(_lengths(encoded))
        losses = list(encoded["loss_length"])
        train = columns.select(chosen)
        counts |= {
            "tokens": sum(lengths[i] for i in chosen),
            "loss_tokens": sum(losses[i] for i in chosen),
            "longest": max(lengths[i] for i in chosen),
            "train_rows": len(chosen),
        }
        if training.get("packing"):
            train = pack(train, _max_length(recipe), training.get("packing_strategy", "bfd"), config.dataset_seed)
        counts["sequences"] = len(train)
        train.save_to_disk(temporary / "train")
        if held_out:
            kept_out = [i for i in kept if i in held_out]
            if not kept_out:
                raise RecipeError("eval_rows: none of the held-out rows could be used")
            columns.select(kept_out).save_to_disk(temporary / "evaluation")
            counts["evaluation_rows"] = len(kept_out)
        (temporary / "counts.json").write_text(json.dumps(counts, indent=1), encoding="utf-8")
        del encoded, columns, train
        for leftover in temporary.glob("*.arrow"):
            leftover.unlink()
        with contextlib.suppress(FileExistsError):  # another node on the same file system was first: same content
            _rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def pack(train: Any, max_length: int, strategy: str, seed: int) -> Any:
    """Rows packed into sequences of at most `max_length` tokens (best fit decreasing), none of them cut.

    The rows are shuffled first, so that a pack doesn't hold neighbours of one source.
    """
    from trl import pack_dataset

    options = {"load_from_cache_file": False, "desc": "Packing", "batch_size": 1000}
    return pack_dataset(train.shuffle(seed=seed), max_length, strategy, options)


def _lengths(encoded: Any) -> Iterator[int]:
    import pyarrow.compute as pc

    for batch in encoded.with_format("arrow").iter(batch_size=10_000):
        yield from pc.list_value_length(batch["input_ids"]).to_pylist()


def _rename(temporary: Path, folder: Path) -> None:
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if folder.exists():
            raise FileExistsError(str(folder)) from error
        raise


def _nothing_left(outcomes: dict[str, int], recipe: SFTRecipe) -> str:
    told = ", ".join(f"{count:,} {text_format.MEANING[word]}" for word, count in outcomes.items())
    advice = ""
    if outcomes.get(text_format.TOO_LONG):
        advice = f"; raise max_length (now {_max_length(recipe)}) or set overlong: truncate"
    return f"{recipe.path}: no row is left to train on: {told}{advice}"


def _open(folder: Path, key: str) -> Tokens:
    from datasets import load_from_disk

    evaluation = folder / "evaluation"
    return Tokens(
        train=load_from_disk(folder / "train"),
        evaluation=load_from_disk(evaluation) if evaluation.exists() else None,
        counts=json.loads((folder / "counts.json").read_text(encoding="utf-8")),
        key=key,
    )


def _stream(recipe: SFTRecipe, tokenizer: Any, format_: text_format.TextFormat, key: str) -> Tokens:
    from datasets import Features, List, Value

    counts: dict[str, Any] = {"rows": None, "outcomes": Counter()}

    def encode(batch: dict[str, list]) -> dict[str, list]:
        encoded = _encode(batch, recipe, tokenizer, format_)
        counts["outcomes"].update(encoded["outcome"])
        kept = [i for i, ids in enumerate(encoded["input_ids"]) if ids]
        return {name: [encoded[name][i] for i in kept] for name in ("input_ids", "labels")}

    rows = data.load_rows(recipe.data, format_.fields)
    features = Features({"input_ids": List(Value("int32")), "labels": List(Value("int32"))})
    train = rows.map(encode, batched=True, batch_size=256, remove_columns=list(format_.fields), features=features)
    if next(iter(train), None) is None:
        raise RecipeError(_nothing_left(counts["outcomes"], recipe))
    counts["outcomes"].clear()
    if recipe.training.get("packing"):
        from trl import pack_dataset

        train = pack_dataset(train, _max_length(recipe), recipe.training.get("packing_strategy", "bfd"))
    return Tokens(train=train, evaluation=None, counts=counts, key=key)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait_for(folder: Path) -> None:
    parent = os.getppid()
    while not folder.exists():
        if os.getppid() != parent:  # the launcher is gone, so the rank that tokenises is too
            raise SystemExit("the launcher ended while this rank waited for the tokens")
        time.sleep(0.2)

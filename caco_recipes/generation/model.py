"""Which model a recipe means, and what it is called in a request's key.

A Hub model is its name and commit. A local model is the sha256 over its weights, configuration, tokenizer and chat
template, wherever the folder lies: the same checkpoint moved or mounted elsewhere answers from the same store. Behind
it stands what a recipe changes of the model: another dtype than the checkpoint's, a quantisation, a longer rope.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes.generation.config import EngineConfig

# What decides a model's answers. Training states, cards and logs beside them do not.
_MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*.bin*",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


# Of `engine_args`: those that make another model of it. The others (memory, batching, parallelism) change rounding only.
_MODEL_ARGS = (
    "quantization",
    "kv_cache_dtype",
    "hf_overrides",
    "rope_scaling",
    "rope_theta",
    "lora_modules",
    "override_generation_config",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is there: `name` and `revision` (a commit, or None for a folder) load it, `identity` names it."""

    name: str
    revision: str | None
    identity: str


def find_model(config: EngineConfig, key: str) -> Model:
    """The model of `config.model`: a folder here, or a Hub name. Raises `EngineError` naming the recipe key `key`."""
    from caco_recipes.generation.engine import EngineError

    if not config.model:
        raise EngineError(f"{key}.model: name a Hub model or a local model folder")
    folder = Path(config.model)
    if folder.is_dir():
        identity = local_identity(folder, f"{key}.model")
        return Model(str(folder), None, identity + _changes(config, folder / "config.json"))
    file = _hub_config(config.model, config.revision, f"{key}.model")
    commit = file.parent.name
    return Model(config.model, commit, f"{config.model}@{commit}" + _changes(config, file))


def _changes(config: EngineConfig, checkpoint: Path) -> str:
    """What the recipe changes of a checkpoint (its config.json), as it stands behind its identity; mostly nothing."""
    changes = {name: value for name in _MODEL_ARGS if (value := config.engine_args.get(name)) not in (None, "auto")}
    dtype = config.engine_args.get("dtype", config.dtype)
    if dtype != "auto":
        try:
            saved = json.loads(checkpoint.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            saved = {}
        # `auto` is the checkpoint's own, and so is the same one named.
        if dtype != (saved.get("dtype") or saved.get("torch_dtype")):
            changes["dtype"] = dtype
    return "".join(f"+{name}={_short(changes[name])}" for name in sorted(changes))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:12]


def served_identity(config: EngineConfig, key: str) -> str:
    """The identity of a model behind a server: a folder that is here too is hashed, any other goes by its name."""
    from caco_recipes.generation.engine import EngineError

    if not config.model:
        raise EngineError(f"{key}.model: name the model as the server calls it")
    if config.servers:
        identity = find_model(config, key).identity  # started here, with that revision
    elif Path(config.model).is_dir():
        identity = local_identity(Path(config.model), f"{key}.model")
    else:
        identity = f"{config.model}@{config.revision or 'served'}"
    if config.endpoint == "chat":
        identity += "+chat"  # the template is the server's own
    if config.extra_body:
        # For example a response format: what it asks for is part of what is asked.
        body = json.dumps(config.extra_body, sort_keys=True, default=str)
        identity += f"+{hashlib.sha256(body.encode()).hexdigest()[:12]}"
    return identity


def recorded_identity(config: EngineConfig, key: str) -> str:
    """`recorded:FILE@sha256:…`: nobody takes a replay for a model."""
    from caco_recipes.generation.engine import EngineError

    try:
        digest = hashlib.sha256(Path(config.path).read_bytes()).hexdigest()
    except OSError as error:
        raise EngineError(f"{key}.path: the recordings can't be read: {error}") from None
    return f"recorded:{Path(config.path).name}@sha256:{digest[:32]}"


def local_identity(folder: Path, where: str) -> str:
    """`sha256:…` over names and contents of the files that make the model. Raises `EngineError` if there are none.

    Hashing is remembered in the user's cache folder by size and modification time, outside the model's folder, which
    may be read-only or belong to a run whose bytes are compared.
    """
    from caco_recipes.generation.engine import EngineError

    files = sorted({file for pattern in _MODEL_FILES for file in folder.glob(pattern) if file.is_file()})
    if not any(file.name in ("config.json", "adapter_config.json") for file in files):
        raise EngineError(f"{where}: {folder} has no config.json: it is not a model folder")
    known = _Remembered(folder)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{known.sha256(file)}\0".encode())
    known.save()
    return f"sha256:{digest.hexdigest()[:32]}"


class _Remembered:
    """Hashes of a folder's files by name, size and modification time."""

    def __init__(self, folder: Path) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "caco" / "model_hashes"
        self._file = cache / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}.json"
        self._old: dict[str, list[Any]] = {}
        self._new: dict[str, list[Any]] = {}
        try:
            self._old = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pass  # nothing remembered: everything is hashed

    def sha256(self, file: Path) -> str:
        stat = file.stat()
        old = self._old.get(file.name)
        if isinstance(old, list) and old[:2] == [stat.st_size, stat.st_mtime_ns] and len(old) == 3:
            digest = old[2]
        else:
            with open(file, "rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        self._new[file.name] = [stat.st_size, stat.st_mtime_ns, digest]
        return digest

    def save(self) -> None:
        if self._new == self._old:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, unfinished = tempfile.mkstemp(dir=self._file.parent)
            with open(descriptor, "w", encoding="utf-8") as out:
                json.dump(self._new, out)
            os.replace(unfinished, self._file)
        except OSError:
            pass  # no place to remember: the next start hashes again


def _hub_config(name: str, revision: str | None, where: str) -> Path:
    """config.json in the Hub cache, in the folder of the commit that `name` stands for now; without network, the cached one."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    from caco_recipes.generation.engine import EngineError

    try:
        file = hf_hub_download(name, "config.json", revision=revision)
    except HFValidationError:
        raise EngineError(f"{where}: {name!r} is not a folder here, nor a Hub name (owner/model)") from None
    except GatedRepoError:
        raise EngineError(f"{where}: {name} is gated: accept its terms on the Hub, then `hf auth login`") from None
    except RepositoryNotFoundError:
        raise EngineError(f"{where}: {name!r} is not a folder here, and the Hub has no such model") from None
    except RevisionNotFoundError:
        raise EngineError(f"{where}: {name} has no revision {revision!r}") from None
    except LocalEntryNotFoundError:
        raise EngineError(
            f"{where}: {name!r} is not a folder here, not in the local Hub cache, and the Hub can't be reached"
        ) from None
    except EntryNotFoundError:
        raise EngineError(f"{where}: {name} has no config.json: it is not a transformers model") from None
    except OSError as error:
        raise EngineError(f"{where}: {name} can't be fetched: {error}") from None
    return Path(file)

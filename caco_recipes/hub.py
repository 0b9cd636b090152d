"""Pushing a dataset folder or a checkpoint to the Hugging Face Hub, private by default, in one commit.

`push` is safe to repeat: what the Hub already has is not sent again, and a push of nothing new makes no commit. While a
run is going, pushing its folder sends what is finished, under a card that says how far the run is.

The token is the one of `hf auth login` or `HF_TOKEN`; it is read by huggingface_hub and passes through no variable of
ours that is printed or written. Faults are `HubError`s that say what to do.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from caco_recipes.publish_card import metadata_of

# What lies in output folders and is no part of a dataset: states of training, caches, half-written files. For models
# training/model_files.py chooses first.
LEFT_OUT = [
    ".*",
    "**/.*",
    "checkpoint-*/**",
    "*.tmp",
    "**/*.tmp",
    "optimizer.*",
    "scheduler.*",
    "rng_state*",
    "runs/**",
]
# Files of an earlier push that are in the way of the new one's: shards that no longer exist.
REPLACED = ["*.parquet", "**/*.parquet", "*.safetensors", "*.safetensors.index.json"]
TOKEN = re.compile(r"hf_[A-Za-z0-9]{6,}")
TEXT_SUFFIXES = (".md", ".json", ".jsonl", ".yaml", ".yml", ".txt", ".jinja", ".html")
DATASET = "dataset"
MODEL = "model"


class HubError(RuntimeError):
    """A push that could not be done; the message says what to do. Nothing on this machine was changed."""


@dataclass(frozen=True)
class Pushed:
    """A push that is done.

    Attributes:
        url: the repository's address.
        repo_id, kind: its name, and `dataset` or `model`.
        commit: the commit's hash; that of the last one when nothing was new.
        files: how many files the folder had.
        private: whether the repository is private.
        changed: False when the Hub had everything already.
    """

    url: str
    repo_id: str
    kind: str
    commit: str
    files: int
    private: bool
    changed: bool

    def text(self) -> str:
        """One line for people."""
        done = "pushed" if self.changed else "nothing new to push"
        return f"{done}: {self.url} ({'private' if self.private else 'public'} {self.kind}, {self.files} files)"


def push(
    path: str | Path,
    repo_id: str,
    *,
    private: bool = True,
    revision: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Pushes a folder to the Hub and returns what is there now.

    Args:
        path: a dataset folder, a model folder, or a run's folder (its published dataset; what is finished of it while
            the run is going).
        repo_id: `user/name` or `organisation/name`; made if it is not there.
        private: whether a repository that is made now is private. An existing one keeps its visibility.
        revision: a branch; made if it is not there.
        message: the commit's first line.

    Raises:
        HubError: no token, no network, no such right, nothing to push, a token in a file.
        RunError: a run's folder without a verified row.
    """
    folder = _folder_of(Path(path), repo_id)
    kind = kind_of(folder)
    if kind == DATASET:
        return _send(
            folder, kind, repo_id, private, revision, message or f"Upload {kind} {folder.resolve().parent.name}"
        )
    from caco_recipes.training import model_files

    with tempfile.TemporaryDirectory(prefix="caco-push-") as place:
        staged = model_files.stage(folder, Path(place) / "model")
        return _send(staged, kind, repo_id, private, revision, message or f"Upload {kind} {folder.name}")


def _send(folder: Path, kind: str, repo_id: str, private: bool, revision: str | None, message: str) -> Pushed:
    files = files_of(folder)
    _refuse_tokens(folder, files)
    from huggingface_hub import HfApi

    api = HfApi(library_name="caco-recipes")
    with _faults(repo_id):
        # Asked first: without it, a missing token shows as a failure of whatever comes first.
        api.whoami()
        url = api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True)
        repo_id = url.repo_id  # with the user's name in front, also where only a name was given
        if revision and revision != "main":
            api.create_branch(repo_id, repo_type=kind, branch=revision, exist_ok=True)
        before = api.repo_info(repo_id, repo_type=kind, revision=revision)
        commit = api.upload_folder(
            repo_id=repo_id,
            repo_type=kind,
            folder_path=folder,
            revision=revision,
            commit_message=message,
            ignore_patterns=LEFT_OUT,
            delete_patterns=REPLACED,
        )
    return Pushed(
        url=str(url),
        repo_id=repo_id,
        kind=kind,
        commit=commit.oid,
        files=len(files),
        private=bool(before.private),
        changed=commit.oid != before.sha,
    )


def kind_of(folder: Path) -> str:
    """`model` or `dataset`, by what is in a folder. Raises `HubError` for a folder that is neither."""
    if not folder.is_dir():
        raise HubError(f"{folder} is not a folder: give a dataset folder, a model folder or a run's folder")
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
        if not weights:
            raise HubError(f"{folder} has a config.json but no weights: the training has not saved its model yet")
        kind = MODEL
    elif any(folder.rglob("*.parquet")) or any(folder.glob("*.jsonl")):
        kind = DATASET
    else:
        raise HubError(f"{folder} holds neither a dataset (Parquet) nor a model (config.json and weights)")
    if not (folder / "README.md").is_file():
        raise HubError(f"{folder} has no README.md: {kind}s are pushed with their card only")
    try:
        metadata_of((folder / "README.md").read_text(encoding="utf-8"))
    except ValueError as error:
        raise HubError(f"{folder / 'README.md'}: {error}") from None
    return kind


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that a push sends."""
    from huggingface_hub.utils import filter_repo_objects

    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [folder / name for name in filter_repo_objects(names, ignore_patterns=LEFT_OUT)]


def _folder_of(path: Path, repo_id: str) -> Path:
    """The folder to push: itself, or a run's dataset, published or so far."""
    from caco_recipes.run_folder import StepFolder

    if not path.is_dir():
        raise HubError(f"{path} is not a folder: give a dataset folder, a model folder or a run's folder")
    if (path / "README.md").is_file() or (path / "config.json").is_file():
        return path
    manifest = StepFolder(path).manifest()
    if manifest and manifest.get("stage") == "sft":
        return path / "model"
    if manifest and manifest.get("stage") == "publish":
        path = path.parent
    steps = {folder.name: StepFolder(folder) for folder in sorted(path.iterdir()) if folder.is_dir()}
    manifests = {name: step.manifest() or {} for name, step in steps.items()}
    if not any("stage" in manifest for manifest in manifests.values()):
        return path
    for name, step in steps.items():
        if manifests[name].get("stage") == "publish" and step.complete():
            return step.folder / "dataset"
    from caco_recipes.publish import partial

    return partial(path, repo_id)


def _refuse_tokens(folder: Path, files: list[Path]) -> None:
    """Cards, receipts and configurations go to the Hub; an access token in one of them would go with it."""
    from huggingface_hub import get_token

    own = get_token()
    for path in files:
        if path.suffix not in TEXT_SUFFIXES or path.stat().st_size > 20_000_000 or path.name == "tokenizer.json":
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(r"hf_[A-Za-z0-9]{30,}", text) or (own and len(own) >= 8 and own in text):
            raise HubError(
                f"{path.relative_to(folder)} holds an access token: take it out, and revoke it if it was shown to others"
            )


@contextmanager
def _faults(repo_id: str) -> Iterator[None]:
    """Turns the Hub's and the network's faults into one line that says what to do, without any token in it."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except LocalTokenNotFoundError:
        raise HubError(
            "no access token: run hf auth login, or set HF_TOKEN, with a token that may write "
            f"({constants.ENDPOINT}/settings/tokens)"
        ) from None
    except OfflineModeIsEnabled:
        raise HubError("HF_HUB_OFFLINE is set: unset it to push") from None
    except HFValidationError as error:
        raise HubError(
            f"{repo_id!r} is no repository name (user/name): {' '.join(redacted(str(error)).split())}"
        ) from None
    except HfHubHTTPError as error:
        raise HubError(_advice(error, repo_id)) from None
    except Exception as error:
        if not _is_transport(error):
            raise
        raise HubError(
            f"can't reach {constants.ENDPOINT} ({type(error).__name__}): check the network and HF_ENDPOINT, then repeat "
            "the command; what was uploaded is not sent again"
        ) from None


def _is_transport(error: Exception) -> bool:
    """Whether the network failed. By name: the HTTP client is another module in either version of huggingface_hub."""
    return isinstance(error, ConnectionError | TimeoutError) or any(
        kind.__name__ == "TransportError" for kind in type(error).__mro__
    )


def _advice(error: Exception, repo_id: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = " ".join(redacted(str(getattr(error, "server_message", None) or error)).split())
    advice = {
        401: "the access token is missing, wrong or expired: run hf auth login, or set HF_TOKEN",
        403: f"this token may not write to {repo_id}: use one with the write role, or a repository of your own",
        404: f"{repo_id} or its branch is not there, or this token may not see it",
        409: "the repository changed meanwhile: repeat the command",
        412: "a commit was made meanwhile: repeat the command",
        413: "a file is too large for the Hub: set a smaller rows_per_file",
        429: "too many requests: wait a few minutes and repeat the command; what was uploaded is not sent again",
    }.get(status, "repeat the command; what was uploaded is not sent again" if (status or 0) >= 500 else "")
    return f"{repo_id}: the Hub answered {status}: {said}" + (f". {advice}" if advice else "")


def redacted(text: str) -> str:
    """`text` without access tokens: whatever looks like one, and this machine's own."""
    from huggingface_hub import get_token

    own = get_token()
    if own and len(own) >= 8:
        text = text.replace(own, "hf_***")
    return TOKEN.sub("hf_***", text)

"""A trainer's pushes, at the end and as checkpoints come: the files that `model_files.stage` chooses, and no others.

The library's trainer uploads the output folder as it lies, with a pickle of its arguments and every local path in it.
"""

import shutil
from pathlib import Path
from typing import Any

from caco_recipes.training import model_files

STAGED = "_push"  # folders of the output folder while an upload is going


class PushesModelFiles:
    """Mixed in before TRL's trainer: `push_to_hub` and the pushes of `hub_strategy`."""

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        **_: Any,
    ) -> Any:
        """Pushes the model with its card; returns the commit, or its future with `blocking=False`."""
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token)
        self.save_model(_internal_call=True)  # on every rank: sharded weights are gathered
        if not self.is_world_process_zero():
            return None
        self.create_model_card()
        self._finish_current_push()
        output_dir = Path(self.args.output_dir)
        staged = model_files.stage(output_dir, output_dir / f"{STAGED}-end")
        job = self._upload(staged, commit_message, revision=revision, token=token)
        return job.result() if blocking else job

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        strategy = str(getattr(self.args.hub_strategy, "value", self.args.hub_strategy))
        if not self.is_world_process_zero() or strategy == "end":
            return
        if self._pushing() and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        checkpoint, output_dir = Path(checkpoint_folder), Path(self.args.output_dir)
        message = f"Training in progress, step {self.state.global_step}"
        name = f"{STAGED}-{self.state.global_step}"
        jobs = [self._upload(model_files.stage(checkpoint, output_dir / name, about=output_dir), message)]
        if strategy in ("checkpoint", "all_checkpoints"):
            staged = model_files.stage(checkpoint, output_dir / f"{name}-state", with_state=True)
            place = "last-checkpoint" if strategy == "checkpoint" else checkpoint.name
            jobs.append(self._upload(staged, f"{message}, checkpoint", place))
        if self._pushing():
            self.push_in_progress.jobs.extend(jobs)
        else:
            from transformers.utils.hub import PushInProgress

            self.push_in_progress = PushInProgress(jobs)

    def _pushing(self) -> bool:
        return self.push_in_progress is not None and not self.push_in_progress.is_done()

    def _upload(self, staged: Path, message: str | None, place: str | None = None, **given: str | None) -> Any:
        from huggingface_hub import HfApi

        if not hasattr(self, "_api"):
            self._api = HfApi(library_name="caco-recipes")  # one for all: its uploads wait for each other
        job = self._api.upload_folder(
            repo_id=self.hub_model_id,
            folder_path=staged,
            path_in_repo=place,
            commit_message=message,
            revision=given.get("revision") or self.args.hub_revision,
            token=given.get("token") or self.args.hub_token,
            run_as_future=True,
        )
        job.add_done_callback(lambda done: _after(done, staged))
        return job


def _after(job: Any, staged: Path) -> None:
    shutil.rmtree(staged, ignore_errors=True)
    if not job.cancelled() and (error := job.exception()):
        from caco_recipes.hub import redacted

        print(f"a push to the Hub failed: {type(error).__name__}: {redacted(str(error))}", flush=True)

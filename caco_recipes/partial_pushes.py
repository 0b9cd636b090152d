"""Pushes of what a run has so far, while it goes on: a publish step with `hub` and `push_every: N`.

    publish: {title: My rows, hub: me/rows, push_every: 20}

After every N shards that any step above the publish step finishes, the dataset so far goes to the Hub, under a card that
says how far the run is; the publish step itself pushes the whole. Pushes happen in a thread beside the work, one at a time.
A push that fails is told and does not stop the run: the next one sends what it would have sent. Files that the Hub has are
not sent again. A resumed run counts on from its last push, which stands in `events.jsonl`.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from caco_recipes.events import Events, read_events

LAST_PUSH_SECONDS = 120.0  # how long the end of a run waits for a push under way


class PartialPushes:
    """The pushes of a run's publish steps; a context manager that waits for the push under way.

    Args:
        run: the loaded recipe (`pipeline.Run`).
        events: where pushes are noted.
        push: what pushes a folder (`hub.push`).
    """

    def __init__(self, run: Any, events: Events, push: Callable[..., Any] | None = None) -> None:
        self._folder: Path = run.folder
        self._events = events
        self._push = push
        self._steps: dict[str, Any] = {}  # publish step -> its configuration
        self._above: dict[str, set[str]] = {}  # publish step -> steps whose shards count
        above: set[str] = set()
        for step in run.steps:
            if step.stage == "publish" and step.config.hub and step.config.push_every:
                self._steps[step.name] = step.config
                self._above[step.name] = set(above)
            if not step.whole_run:
                above.add(step.name)
        self._finished: dict[str, dict[str, int]] = {
            name: {step: len(run.step_folder(step).accepted_files()) for step in steps}
            for name, steps in self._above.items()
        }
        self._pushed = dict.fromkeys(self._steps, 0)
        if self._steps:
            for event in read_events(run.folder / "events.jsonl"):
                if event["event"] == "push" and event.get("step") in self._steps and "parts" in event:
                    self._pushed[event["step"]] = int(event["parts"])
        for name, finished in self._finished.items():
            # A run that was edited may have fewer parts than at its last push: then it counts from where it is.
            self._pushed[name] = min(self._pushed[name], sum(finished.values()))
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "PartialPushes":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.wait()

    def wait(self) -> None:
        """Until the push under way is done: the publish step's own must not meet it."""
        if self._thread is not None:
            self._thread.join(LAST_PUSH_SECONDS)

    def part_done(self, step: str, parts: int, reused: bool) -> None:
        """`step` has `parts` finished parts; a push begins where one is due and none is under way.

        Parts that were finished earlier (`reused`) are counted and start nothing.
        """
        for name, config in self._steps.items():
            if step not in self._above[name]:
                continue
            if not reused:
                self._finished[name][step] = parts
            total = sum(self._finished[name].values())
            busy = self._thread is not None and self._thread.is_alive()
            if reused or busy or total - self._pushed[name] < config.push_every:
                continue
            self._pushed[name] = total
            self._thread = threading.Thread(
                target=self._push_now, args=(name, config, total), name="partial push", daemon=True
            )
            self._thread.start()

    def _push_now(self, name: str, config: Any, parts: int) -> None:
        from caco_recipes.hub import push, redacted
        from caco_recipes.publish import partial

        try:
            from huggingface_hub.utils import disable_progress_bars

            disable_progress_bars()  # the step under way has the terminal
            folder = partial(self._folder, config.hub, step=name)
            done = (self._push or push)(
                folder, config.hub, private=config.private, message=f"So far: {parts} shards finished"
            )
        except Exception as error:  # whatever it is: a push beside the work must not end the work
            why = " ".join(redacted(f"{type(error).__name__}: {error}").split())[:500]
            self._events.write("push", step=name, error=why)
            print(f"\npush to {config.hub} failed, the run goes on: {why}", file=sys.stderr)
            return
        self._events.write("push", step=name, parts=parts, url=done.url, commit=done.commit, changed=done.changed)

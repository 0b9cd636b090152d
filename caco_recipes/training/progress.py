"""What people watch while a model trains: one line per log with tokens and ETA, and a loss plot beside the checkpoints."""

import functools
import importlib.util
import time
from pathlib import Path
from typing import Any

from transformers import ProgressCallback, TrainerCallback


class Bar(ProgressCallback):
    """The progress bar on a terminal, without the dictionary that it prints at every log."""

    def on_log(self, *_: Any, **__: Any) -> None:
        pass


class ShowProgress(TrainerCallback):
    """Prints loss, tokens seen, tokens per second and ETA; keeps `loss.png` in the output folder up to date.

    Tokens are real ones (no padding), summed over all devices, and go on counting across a resume.
    """

    def __init__(self) -> None:
        self.tokens_seen = 0
        self._before = 0  # tokens of the run that was interrupted
        self._started = 0.0
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started = time.monotonic()
        self._first_step = state.global_step
        self._before = self.tokens_seen = int(
            max((entry.get("num_tokens", 0) for entry in state.log_history), default=0)
        )

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs is None or "loss" not in logs or not state.is_world_process_zero:
            return
        # TRL counts from zero after a resume; the history (and with it every tracker and plot) keeps the whole sum.
        self.tokens_seen = logs["num_tokens"] = self._before + int(logs.get("num_tokens", 0))
        state.log_history[-1]["num_tokens"] = self.tokens_seen
        seconds = time.monotonic() - self._started
        steps = state.global_step - self._first_step
        left = seconds / steps * (state.max_steps - state.global_step) if steps else 0
        print(
            f"step {state.global_step}/{state.max_steps}  loss {logs['loss']:.4f}  lr {logs.get('learning_rate', 0):.2e}  "
            f"{self.tokens_seen:,} tokens  {(self.tokens_seen - self._before) / max(seconds, 1e-9):,.0f} tokens/s  "
            f"ETA {clock(left)}",
            flush=True,
        )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            plot_loss(state.log_history, Path(args.output_dir) / "loss.png")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            plot_loss(state.log_history, Path(args.output_dir) / "loss.png")


def clock(seconds: float) -> str:
    """`h:mm:ss`."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


@functools.cache
def can_plot() -> bool:
    """Whether matplotlib is there; says once if it isn't. A missing plot must not end a training run."""
    found = importlib.util.find_spec("matplotlib") is not None
    if not found:
        print("matplotlib is not installed: no plot is saved (pip install matplotlib)", flush=True)
    return found


def plot_loss(history: list[dict[str, float]], path: Path) -> None:
    """Training (and evaluation) loss by step, as a PNG. Does nothing before the first log, or without matplotlib."""
    if not can_plot():
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = {
        "training": [(entry["step"], entry["loss"]) for entry in history if "loss" in entry],
        "held out": [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry],
    }
    if not curves["training"]:
        return
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, points in curves.items():
        if points:
            axes.plot(*zip(*points), label=name, marker="o" if len(points) < 30 else None, markersize=3)
    axes.set_xlabel("step")
    axes.set_ylabel("loss per token (nats)")
    axes.grid(alpha=0.3)
    axes.legend()
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(path)

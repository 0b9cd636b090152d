"""What people watch in a GRPO run: one line per log, and `reward.png` beside the checkpoints."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from caco_recipes.training.progress import can_plot


class ShowReward(TrainerCallback):
    """Prints the mean reward and completion length; plots the reward at every save and at the end."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        # A step in which every completion was undecided has no reward.
        if logs and logs.get("reward") is not None and state.is_world_process_zero:
            print(
                f"step {state.global_step}/{state.max_steps}  reward {logs['reward']:.3f}  "
                f"length {logs.get('completions/mean_length') or 0:.0f}  "
                f"no signal {logs.get('frac_reward_zero_std') or 0:.0%}",
                flush=True,
            )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            plot_reward(state.log_history, Path(args.output_dir) / "reward.png")

    on_train_end = on_save


def plot_reward(history: list[dict[str, float]], path: Path, window: int = 10) -> None:
    """Mean reward by step, with its running mean over `window` logs."""
    if not can_plot():
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = [(entry["step"], float(entry["reward"])) for entry in history if entry.get("reward") is not None]
    if not points:
        return
    steps, values = zip(*points)
    means = [
        sum(values[max(0, i - window + 1) : i + 1]) / len(values[max(0, i - window + 1) : i + 1])
        for i in range(len(values))
    ]
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(steps, values, alpha=0.3, label="mean reward of a step")
    axes.plot(steps, means, label=f"mean over {window} logs")
    axes.set_xlabel("step")
    axes.set_ylabel("reward (share right)")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend()
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(path)

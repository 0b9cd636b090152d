"""What a run and a step of it are, and what a stage may ask of the run that it is a step of."""

from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from caco_recipes.budget import Account
from caco_recipes.configs import RunConfig, StageConfig
from caco_recipes.events import Events
from caco_recipes.partial_pushes import PartialPushes
from caco_recipes.progress import StepProgress
from caco_recipes.run_folder import StepFolder


@dataclass
class Step:
    """One step of a run: its stage's module, its typed configuration and the steps it reads."""

    name: str
    stage: str
    module: ModuleType
    config: StageConfig
    inputs: list[str]

    @property
    def whole_run(self) -> bool:
        return getattr(self.module, "WHOLE_RUN", False)

    @property
    def source(self) -> bool:
        return hasattr(self.module, "rows")

    @property
    def in_order(self) -> bool:
        """Whether a shard's result depends on the shards before it, so that they go one after the other."""
        return hasattr(self.module, "replay") or getattr(self.module, "IN_ORDER", False)


@dataclass
class Run:
    """A loaded recipe."""

    recipe: RunConfig
    recipe_path: Path
    steps: list[Step]
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = Path(self.recipe.output_dir) / self.recipe.name

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def step_folder(self, name: str) -> StepFolder:
        return StepFolder(self.folder / name)


class Context:
    """What a stage may ask of the run that it is a step of."""

    def __init__(
        self, run: Run, step: Step, engines: "Engines", events: Events | None, account: Account | None = None
    ) -> None:
        self.run = run
        self.recipe = run.recipe
        self.step = step
        self.run_dir = run.folder
        self.step_dir = run.folder / step.name
        self.inputs = [run.step_folder(name) for name in step.inputs]
        self.events = events
        self.account = account
        self.progress: StepProgress | None = None
        self.pushes: PartialPushes | None = None
        self._engines = engines

    def session(self, engine: str):
        """The generation session (engine and store) of a name under `engines:`."""
        return self._engines.session(engine, self)

    def engine_identity(self, engine: str) -> str:
        """The identity of an engine's model, without loading its weights."""
        return self._engines.identity(engine)

    def sandbox(self, rules: str | None = None, seed: int = 0, **limits: Any):
        """A sandbox pool with the run's workers and least isolation; `limits` are `sandbox.Limits`'s.

        `seed` is that of the hash function and the random generators that programs see.
        """
        from caco_recipes.sandbox import Limits, Pool

        return Pool(
            workers=self.recipe.workers,
            limits=Limits(**limits),
            minimum_isolation=self.recipe.isolation,
            rules=rules,
            seed=seed,
        )

    def release_engines(self) -> None:
        """Closes every engine, so that its memory is free (before a training run)."""
        self._engines.close()

    def answered(self, prompt_tokens: int, completion_tokens: int) -> None:
        """The engine answered one more request."""
        if self.progress is not None:
            self.progress.answered(prompt_tokens, completion_tokens)

    def budget_reached(self) -> str:
        """Which limit of the run's budget is used up; nothing while there is room."""
        return self.account.reached() if self.account is not None else ""


class Engines:
    """The engines of a run, opened when first asked for and closed together."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._sessions: dict[str, Any] = {}

    def session(self, name: str, context: Context):
        from caco_recipes.generation.engine import open_engine
        from caco_recipes.generation.session import Session
        from caco_recipes.generation.store import Store

        if name not in self._sessions:
            # One engine's model is in memory at a time: steps that use the same one follow each other in most recipes.
            self.close()
            engine = open_engine(self._run.recipe.engines[name], name)
            self._sessions[name] = Session(engine, Store(self._run.folder / "store"), events=context.events)
        session = self._sessions[name]
        session.on_answer = context.answered
        session.halt = context.budget_reached
        return session

    def identity(self, name: str) -> str:
        from caco_recipes.generation.engine import model_identity

        return model_identity(self._run.recipe.engines[name], name)

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

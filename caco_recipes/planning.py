"""What a run would do: the plan with each stage's first rendered prompt, and what is done, reused or repeated, and why."""

from typing import Any

from caco_recipes.pipeline import Context, Engines, Run, Step, step_fingerprint


def dry_run(run: Run, names: list[str] | None) -> None:
    """Prints the steps with what they read and ask; runs nothing and loads no weights."""
    print(f"recipe {run.recipe_path} -> {run.folder}  (shards of {run.recipe.shard_rows} rows)\n")
    for name, engine in run.recipe.engines.items():
        print(f"engine {name}: {engine.engine} {engine.model or engine.path}{_servers(engine)}")
    print()
    for number, step in enumerate(run.steps, 1):
        if names and step.name not in names:
            continue
        reads = f"reads {', '.join(step.inputs)}" if step.inputs else "source"
        print(f"{number}. {step.name} [{step.stage}] {reads}{_limit(step)}")
        preview = getattr(step.module, "preview", None)
        if preview is not None:
            context = Context(run, step, Engines(run), None)
            print("   first prompt:")
            print("\n".join(f"   | {line}" for line in preview(step.config, context).splitlines()))
        planned = getattr(step.module, "planned", None)
        if planned is not None:
            print(f"   {planned(step.config, run.folder)}")


def _servers(engine: Any) -> str:
    return f" at {', '.join(engine.base_url)}" if engine.base_url else ""


def _limit(step: Step) -> str:
    return f", first {step.config.limit} rows" if step.config.limit is not None else ""


def explain(run: Run, names: list[str] | None) -> None:
    """Prints for every step whether it would run or be reused, and why."""
    stale: set[str] = set()
    engines = Engines(run)
    for step in run.steps:
        if names and step.name not in names:
            continue
        verdict, why = _explain_step(run, step, Context(run, step, engines, None), stale)
        if verdict == "run":
            stale.add(step.name)
        print(f"{step.name:<18} {verdict:<6} {why}")


def _explain_step(run: Run, step: Step, context: Context, stale: set[str]) -> tuple[str, str]:
    manifest = run.step_folder(step.name).manifest()
    if changed := [name for name in step.inputs if name in stale]:
        return "run", f"its input {', '.join(changed)} will be done first"
    if manifest is None:
        return "run", "never done"
    try:
        fingerprint = step_fingerprint(run, step, context)
    except (OSError, RuntimeError, ValueError) as error:
        return "run", f"what it needs is not there yet ({error})"
    if manifest["fingerprint"] != fingerprint:
        return "run", _difference(manifest, step)
    if not manifest.get("complete"):
        return "run", "interrupted: goes on behind the finished parts and answered requests"
    return "reuse", "same stage version, configuration, prompts, models and inputs"


def _difference(manifest: dict[str, Any], step: Step) -> str:
    if manifest["version"] != step.module.VERSION:
        return f"the stage's code is version {step.module.VERSION}, the rows were made by {manifest['version']}"
    now = vars(step.config)
    keys = [
        k for k, v in now.items() if k not in ("input", "enabled", "stage") and manifest["config"].get(k) != _plain(v)
    ]
    if keys:
        changes = [f"{key}: {manifest['config'].get(key)!r} -> {_plain(now[key])!r}" for key in keys]
        return "; ".join(changes)
    return "its prompts, model, files or inputs changed"


def _plain(value: Any) -> Any:
    from dataclasses import asdict, is_dataclass

    return asdict(value) if is_dataclass(value) else value

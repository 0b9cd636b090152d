"""`caco evaluate`: models on benchmarks, by the paper's protocol and by ours beside it (paper §4, appendix; facts in docs/evaluation.md).

In: an evaluation recipe, models (Hub names or folders), benchmarks (Hub or local files). Out, in the output folder:
`results.json` (everything that made the numbers), `comparison.md` (ours / paper / difference; base / tuned / difference),
`page.html` (plots and a browser of the items), `LABEL/items-BENCHMARK.jsonl` (per-item log), `LABEL/.eval_results/` and
`LABEL/model-index.yaml` (the Hub's forms) and `store/` (every generation, paid for once).

    caco evaluate --config recipes/evaluate/paper.yaml --model LHL3341/Qwen2.5-Math-7B-Caco
    caco evaluate --config recipes/evaluate/paper.yaml --models.base A --models.tuned B --limit 100
    caco evaluate --config recipes/evaluate/paper.yaml --dry-run
    caco evaluate --from answers.jsonl --fields.response solution_text --fields.gold gold --output graded
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caco_recipes.configs import option
from caco_recipes.evaluation import metrics, prompts, published, results, scores, tables
from caco_recipes.evaluation.benchmarks import Benchmark, benchmark_named
from caco_recipes.evaluation.contamination import Flags, flags_by_index, read_flags
from caco_recipes.evaluation.dry_run import dry_run
from caco_recipes.evaluation.hub_results import write_hub_results
from caco_recipes.evaluation.item_log import write_log, write_text
from caco_recipes.evaluation.loading import Problem, Problems
from caco_recipes.evaluation.protocols import PROTOCOLS, Response, Tools, judge
from caco_recipes.evaluation.results import Evaluation, ModelResult
from caco_recipes.evaluation.scores import GradedItem
from caco_recipes.evaluation.sources import load_benchmarks
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.requests import Completion, Request, SamplingParams
from caco_recipes.recipe import RecipeError, apply_overrides, load_dataclass, load_yaml, nearest, parse_overrides

STAGE = "evaluate"


@dataclass(kw_only=True)
class Config:
    """An evaluation recipe."""

    name: str = option("The evaluation's name; its folder is output_dir/name.", "evaluation")
    output_dir: str = option("Where folders of evaluations are made.", "runs/evaluate")
    model: str = option("Hub name (NAME@REVISION pins a commit) or folder, where only one model is evaluated.", "")
    models: dict[str, str] = option("Label -> Hub name or folder; the first is the base.", default_factory=dict)
    engine: EngineConfig = option("The generation engine; its model is filled in.", default_factory=lambda: _engine())
    benchmarks: list[str] = option("Which benchmarks, by name.", default_factory=list)
    data_dir: str = option("A folder of benchmark files under their usual names, looked into before the Hub.", "")
    data: dict[str, str] = option("Benchmark -> its file or folder.", default_factory=dict)
    expected: dict[str, int] = option(
        "Benchmark -> number of problems, where the file is another set.", default_factory=dict
    )
    revisions: dict[str, str] = option("Benchmark -> Hub commit, instead of the known one.", default_factory=dict)
    limit: int | None = option("Only the first N problems of each benchmark.")
    frame: str = option("Prompt frame: caco (the paper's), training, chat or plain.", "caco")
    prompt_prefix: str = option("Written before every prompt, e.g. a beginning-of-sequence token.", "")
    sampling: SamplingParams = option("Decoding.", default_factory=lambda: SamplingParams(max_tokens=2048))
    samples: int = option("Responses per problem; more than one needs a temperature.", 1)
    ks: list[int] = option("k of pass@k and maj@k; by default powers of two up to the samples.", default_factory=list)
    paper_row: str = option("Row of the paper's tables to compare with; known for the released models.", "")
    contaminated: str = option("JSON Lines of flagged items: benchmark, id, optionally span.", "")
    contamination_index: list[str] = option(
        "Indexes of training sets (caco index --training_set): problems found in them are flagged.",
        default_factory=list,
    )
    workers: int = option("Processes of the grader's slow tier and of the sandbox.", 1)
    isolation: str = option("The least sandbox level that code benchmarks accept.", "basic")
    cpu_seconds: float = option("CPU seconds that one program of a code benchmark may take.", 10.0)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError("name: give the evaluation a name without slashes")
        for label in self.models:
            if not label or "/" in label or label.startswith("."):
                raise ValueError(f"models: the label {label!r} names a folder: no slashes, no leading dot")
        for name in [*self.benchmarks, *self.data, *self.expected, *self.revisions]:
            benchmark_named(name)
        if len(set(self.benchmarks)) < len(self.benchmarks):
            raise ValueError("benchmarks: one of them is named twice")
        if self.frame not in prompts.FRAMES:
            raise ValueError(f"frame: {self.frame!r} is not one of {', '.join(prompts.FRAMES)}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}: it counts problems, so it is at least 1")
        if self.samples < 1:
            raise ValueError("samples must be at least 1")
        if self.samples > 1 and self.sampling.temperature == 0:
            raise ValueError("samples: several greedy responses are all the same; set sampling.temperature")
        if bad := [k for k in self.ks if not 1 <= k <= self.samples]:
            raise ValueError(f"ks: {bad} lie outside 1 to {self.samples} samples")
        if self.paper_row and self.paper_row not in published.rows():
            raise ValueError(f"paper_row: no row {self.paper_row!r}; {nearest(self.paper_row, published.rows())}")

    @property
    def all_ks(self) -> list[int]:
        if self.ks or self.samples == 1:
            return sorted(set(self.ks))
        return [1 << power for power in range(self.samples.bit_length()) if 1 << power <= self.samples]


def _engine() -> EngineConfig:
    return EngineConfig(engine="transformers")


def load_config(path: str | Path, overrides: dict[str, Any] | None = None) -> Config:
    """An evaluation recipe with overrides laid over it. Raises `RecipeError`."""
    mapping = apply_overrides(load_yaml(path), overrides or {})
    mapping.setdefault("name", Path(path).stem)
    return load_dataclass(Config, mapping, str(path))


def main(arguments: list[str]) -> int:
    """The command. Exit code 0; 1 if responses are missing (the same command asks for them again); errors are raised."""
    parser = argparse.ArgumentParser(
        "caco evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", help="evaluation recipe (YAML)")
    parser.add_argument("--output", help="output folder; by default output_dir/name of the recipe")
    parser.add_argument("--dry-run", action="store_true", help="show the first prompt of each benchmark; run nothing")
    parser.add_argument(
        "--from", dest="source", help="grade responses made elsewhere (JSON Lines) instead of generating"
    )
    options, rest = parser.parse_known_args(arguments)
    if options.source:
        from caco_recipes.evaluation.imported import main_from

        return main_from(options.source, options.config, options.output, parse_overrides(rest))
    if not options.config:
        parser.error("--config RECIPE is required (recipes/evaluate/paper.yaml is the paper's)")
    config = load_config(options.config, parse_overrides(rest))
    if not config.benchmarks:
        raise RecipeError(f"{options.config}: benchmarks: name at least one")
    if options.dry_run:
        dry_run(config)
        return 0
    models = config.models or ({"model": config.model} if config.model else {})
    if not models:
        raise RecipeError(f"{options.config}: name a model with --model, or several with --models.LABEL")
    folder = Path(options.output) if options.output else Path(config.output_dir) / config.name
    evaluation = evaluate_models(config, models, folder)
    print(tables.document(evaluation))
    print(f"{folder / 'comparison.md'}, {folder / 'page.html'}, {folder / 'results.json'}")
    failed = sum(score.failed for model in evaluation.models for score in model.scores.values())
    if failed:
        errors = [score.first_error for model in evaluation.models for score in model.scores.values() if score.failed]
        print(
            f"caco: {failed} responses are missing and counted undecided ({errors[0]}); if that can pass, repeat the command",
            file=sys.stderr,
        )
        return 1
    return 0


def evaluate_models(config: Config, models: dict[str, str], output_dir: Path) -> Evaluation:
    """Evaluates models (label -> Hub name or folder) and writes everything into `output_dir`.

    Generations are kept in `output_dir/store` as they arrive: after a kill or a dead engine the same call goes on.
    The first model is the base of the comparisons.

    Raises:
        RecipeError, BenchmarkError: before anything is generated. EngineError: an engine that can't go on.
    """
    problems = load_benchmarks(config)
    flags = read_flags(Path(config.contaminated)) if config.contaminated else {}
    if config.contamination_index:
        items = (item for found in problems.values() for item in found.items)
        flags = flags_by_index(items, config.contamination_index) | flags
    output_dir.mkdir(parents=True, exist_ok=True)
    used_prompts: dict[str, dict[str, str]] = {}
    graded: dict[str, dict[str, list[GradedItem]]] = {}
    model_results = []
    for label, model in models.items():
        result, items = _evaluate_model(config, label, model, problems, flags, output_dir, used_prompts)
        graded[label] = items
        model_results.append(result)
    evaluation = Evaluation(
        name=config.name,
        models=model_results,
        problems=problems,
        prompts=used_prompts,
        decoding=asdict(config.sampling) | {"samples": config.samples},
        config=_public(config, models),
        comparisons=_comparisons(model_results, graded),
        items_total=sum(len(i.responses) for by_name in graded.values() for items in by_name.values() for i in items),
    )
    _write(evaluation, graded, output_dir)
    return evaluation


def requests_of(config: Config, problems: Sequence[Problem], session: Any = None) -> list[Request]:
    """Every request of a benchmark, the samples of a problem next to each other."""
    chat = session.render if session is not None else None
    requests = []
    for problem in problems:
        prompt = prompts.render(problem, config.frame, chat=chat, prefix=config.prompt_prefix).text
        for sample in range(config.samples):
            requests.append(
                Request(
                    prompt=prompt,
                    sampling=config.sampling,
                    sample_index=sample,
                    stage=STAGE,
                    subject=problem.problem,
                )
            )
    return requests


def _evaluate_model(
    config: Config,
    label: str,
    model: str,
    problems: dict[str, Problems],
    flags: Flags,
    folder: Path,
    used_prompts: dict[str, dict[str, str]],
) -> tuple[ModelResult, dict[str, list[GradedItem]]]:
    """Generates all benchmarks' responses of one model, then grades them."""
    from caco_recipes.generation.engine import open_engine
    from caco_recipes.generation.session import Session
    from caco_recipes.generation.store import Store

    responses: dict[str, list[list[Response]]] = {}
    session = Session(open_engine(engine_of(config.engine, model)), Store(folder / "store"))
    try:
        for name, found in problems.items():
            requests = requests_of(config, found.items, session)
            used_prompts[name] = prompt_facts(config, found, session)
            print(f"{label}: {found.benchmark.title}, {len(requests)} responses", file=sys.stderr)
            completions = session.complete(requests)
            keys = [session.request_key(request) for request in requests]
            flat = [_response(r, c, key) for r, c, key in zip(requests, completions, keys)]
            responses[name] = [flat[i : i + config.samples] for i in range(0, len(flat), config.samples)]
        identity = session.identity
    finally:
        session.close()
    # Grading comes after the engine has given its memory back.
    result = ModelResult(label=label, model=model, identity=identity, paper_row=_paper_row(config, model))
    items = {}
    with open_tools(config, [found.benchmark for found in problems.values()]) as tools:
        for name, found in problems.items():
            items[name] = grade_items(found.items, responses[name], tools, flags)
            result.scores[name] = scores.score(
                items[name], name, config.all_ks, bool(config.contaminated or config.contamination_index)
            )
            write_log(folder / label / f"items-{name}.jsonl", items[name])
    result.average = averages(result)
    return result, items


def engine_of(engine: EngineConfig, model: str) -> EngineConfig:
    """The engine of a recipe with a model in it; `NAME@REVISION` pins a Hub commit. A recorded "model" is its file."""
    if engine.engine == "recorded":
        return dataclasses.replace(engine, path=model)
    name, at, revision = model.rpartition("@")
    if at and name and not Path(model).exists():
        return dataclasses.replace(engine, model=name, revision=revision)
    return dataclasses.replace(engine, model=model)


def prompt_facts(config: Config, found: Problems, session: Any = None) -> dict[str, str]:
    """What is kept of a benchmark's prompts: the frame, the hash of their texts, and the first one whole."""
    if not found.items:
        return {"frame": config.frame}
    chat = session.render if session is not None else None
    first = prompts.render(found.items[0], config.frame, chat=chat, prefix=config.prompt_prefix)
    return {"frame": config.frame, "template_sha256": first.template_sha256, "first": first.text}


def _response(request: Request, completion: Completion, key: str) -> Response:
    return Response(
        text=completion.text,
        finish_reason=completion.finish_reason,
        sample_index=request.sample_index,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        error=completion.error,
        request_key=key,
    )


@contextmanager
def open_tools(config: Config, benchmarks: Sequence[Benchmark]) -> Iterator[Tools]:
    """The grader, and the sandbox if a benchmark is code."""
    from caco_recipes.grading import Grader

    with ExitStack() as stack:
        pool = None
        if any(benchmark.kind == "code" for benchmark in benchmarks):
            from caco_recipes.sandbox import Limits, Pool

            # HumanEval+ carries its inputs in the tests' source: up to megabytes.
            limits = Limits(
                cpu_seconds=config.cpu_seconds,
                slow_cpu_seconds=3 * config.cpu_seconds,
                memory_mb=2048,
                source_kb=16_384,
            )
            pool = Pool(workers=config.workers, limits=limits, minimum_isolation=config.isolation)
            pool = stack.enter_context(pool)
        yield Tools(grader=stack.enter_context(Grader(workers=config.workers)), pool=pool)


def grade_items(
    problems: Sequence[Problem],
    responses: Sequence[list[Response]],
    tools: Tools,
    flags: Flags | None = None,
) -> list[GradedItem]:
    """Problems and their responses -> graded items, in order."""
    pairs = [(problem, response) for problem, several in zip(problems, responses) for response in several]
    judged = iter(judge(pairs, tools))
    return [
        GradedItem(
            problem=problem,
            responses=several,
            judgements=[next(judged) for _ in several],
            contaminated=(flags or {}).get((problem.benchmark, problem.id), ""),
        )
        for problem, several in zip(problems, responses)
    ]


def averages(result: ModelResult) -> dict[str, metrics.Estimate]:
    """The plain mean over benchmarks, per protocol (the paper's AVG)."""
    return {p: metrics.macro_average([s.protocols[p].accuracy for s in result.scores.values()]) for p in PROTOCOLS}


def _paper_row(config: Config, model: str) -> str:
    """The row of the paper that a model is to be compared with; a recipe's own holds where it names one model."""
    released = published.RELEASED.get(model.partition("@")[0], "")
    return released if len(config.models) > 1 else config.paper_row or released


def _comparisons(models: list[ModelResult], graded: dict[str, dict[str, list[GradedItem]]]) -> dict[str, Any]:
    base = models[0].label
    return {
        model.label: {
            name: {
                protocol: metrics.compare(
                    [item.share_right(protocol) for item in graded[base][name]],
                    [item.share_right(protocol) for item in items],
                )
                for protocol in PROTOCOLS
            }
            for name, items in graded[model.label].items()
        }
        for model in models[1:]
    }


def _public(config: Config, models: dict[str, str]) -> dict[str, Any]:
    """The configuration as a result shows it. The name of a key's variable is no secret, the key is never in here."""
    return asdict(config) | {"models": models}


def _write(evaluation: Evaluation, graded: dict[str, dict[str, list[GradedItem]]], folder: Path) -> None:
    from caco_recipes.evaluation.page import write_page

    results.write_results(evaluation, folder)
    write_page(evaluation, graded, folder / "page.html")
    for model in evaluation.models:
        write_hub_results(evaluation, model, folder / model.label)
    # Last: a pipeline takes this file as the sign that the evaluation is complete.
    write_text(folder / "comparison.md", tables.document(evaluation))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

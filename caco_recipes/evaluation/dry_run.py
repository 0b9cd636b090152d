"""What an evaluation would ask: the first prompt of every benchmark. Nothing is loaded or downloaded."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from caco_recipes.evaluation import loading, prompts
from caco_recipes.evaluation.benchmarks import Benchmark, benchmark_named
from caco_recipes.evaluation.loading import Problem
from caco_recipes.evaluation.sources import local_path

if TYPE_CHECKING:
    from caco_recipes.evaluate import Config


def dry_run(config: "Config") -> None:
    """Prints what would be asked: per benchmark the number of requests and the first prompt. Nothing is downloaded."""
    print(f"engine {config.engine.engine}, model {config.model or config.models or 'to be named with --model'}")
    print(f"decoding {asdict(config.sampling)}, {config.samples} sample(s) per problem, frame {config.frame}")
    for name in config.benchmarks:
        benchmark = benchmark_named(name)
        path = local_path(config, benchmark)
        if path is None:
            source = f"Hub {benchmark.hub.name}" if benchmark.hub else "no Hub copy known: needs --data." + name
            items: tuple[Problem, ...] = (_placeholder(benchmark),)
            count, note = benchmark.problems, " (data not loaded in a dry run: the problem is a placeholder)"
        else:
            found = loading.load(benchmark, path=path, expected=config.expected.get(name), limit=config.limit)
            items, count, source, note = found.items, len(found), str(path), ""
        count = count if config.limit is None else min(count, config.limit)
        print(f"\n== {benchmark.title}: {count} problems x {config.samples}, {source}{note}")
        chat = _show_messages if config.frame == "chat" else None
        print(prompts.render(items[0], config.frame, chat=chat, prefix=config.prompt_prefix).text)


def _show_messages(messages: list[dict[str, str]]) -> str:
    return "\n".join(f"[{message['role']}] {message['content']}" for message in messages)


def _placeholder(benchmark: Benchmark) -> Problem:
    return Problem(
        benchmark=benchmark.name,
        id="placeholder",
        problem="{problem}",
        answer="",
        kind=benchmark.kind,
        paper_rule=benchmark.paper_rule,
        choices=("{first option}", "{second option}") if benchmark.kind == "choice" else (),
        answer_type="Numerical" if benchmark.name == "olympiadbench" else "",
        entry_point="{function}",
    )

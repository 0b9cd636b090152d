"""inspect-ai: a scorer that calls our grader, and a task of any of our benchmarks with the paper's prompt.

    inspect eval caco_recipes/evaluation/adapters/inspect_scorer.py -T benchmark=gsm8k -T path=gsm8k_test.jsonl --model hf/NAME

Needs `pip install inspect-ai` (tested with 0.3.285). A right answer scores C, a wrong one I; what can't be told scores N, which
counts as not right; verdict, reason and rule of both protocols are in the score's metadata.
"""

import asyncio
from dataclasses import asdict

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Score, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState, generate

from caco_recipes.evaluation import prompts
from caco_recipes.evaluation.adapters.one_response import judge_response
from caco_recipes.evaluation.benchmarks import benchmark_named
from caco_recipes.evaluation.loading import load
from caco_recipes.evaluation.protocols import PROTOCOLS, STRICT
from caco_recipes.verdicts import ACCEPTED, UNDECIDED

_VALUES = {ACCEPTED: CORRECT, UNDECIDED: NOANSWER}


@scorer(metrics=[accuracy(), stderr()], name="caco")
def caco_scorer(benchmark: str = "math", protocol: str = STRICT):
    """Scores a completion against the sample's target by `protocol` (`strict` or `caco-paper`) of `benchmark`'s rules."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")

    async def score(state: TaskState, target: Target) -> Score:
        fields = (state.metadata or {}).get("caco", {})
        # In a thread: the slow tier may take seconds, and inspect's other samples go on meanwhile.
        judgements = await asyncio.to_thread(
            judge_response,
            state.output.completion,
            fields.get("gold", target.text),
            benchmark=benchmark,
            problem=fields.get("problem", ""),
            cut_off=state.output.stop_reason == "max_tokens",
            choices=tuple(fields.get("choices", ())),
            answer_type=fields.get("answer_type", ""),
            tolerance=fields.get("tolerance"),
            is_multiple=fields.get("is_multiple", False),
        )
        judged = judgements[protocol]
        return Score(
            value=_VALUES.get(judged.verdict, INCORRECT),
            answer=judged.extracted,
            explanation=judged.reason or judged.rule,
            metadata={name: asdict(judgement) for name, judgement in judgements.items()},
        )

    return score


@task
def caco_benchmark(
    benchmark: str = "math500",
    path: str | None = None,
    frame: str = "caco",
    protocol: str = STRICT,
    limit: int | None = None,
    expected: int | None = None,
    max_tokens: int = 2048,
) -> Task:
    """One of our benchmarks as an inspect task: the paper's prompt and decoding, our grader."""
    problems = load(benchmark_named(benchmark), path=path, limit=limit, expected=expected)
    samples = [
        Sample(
            id=item.id,
            input=prompts.render(item, "plain" if frame == "chat" else frame).text,
            target=item.answer,
            metadata={
                "caco": {
                    "gold": item.gold,
                    "problem": item.problem,
                    "choices": list(item.choices),
                    "answer_type": item.answer_type,
                    "tolerance": item.tolerance,
                    "is_multiple": item.is_multiple,
                }
            },
        )
        for item in problems.items
    ]
    return Task(
        dataset=MemoryDataset(samples, name=benchmark),
        solver=generate(),
        scorer=caco_scorer(benchmark=benchmark, protocol=protocol),
        config=GenerateConfig(temperature=0.0, max_tokens=max_tokens),
    )

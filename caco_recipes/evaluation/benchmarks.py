"""What a benchmark is: where its problems come from, how many there are, and by which rules it is graded.

A benchmark is one entry of `BENCHMARKS`. Its problems come from the Hub (name, configuration, split, revision) or from a
local file, JSON Lines or Parquet, in our own fields (`id`, `problem`, `answer`, …) or in the Hub's. `revision` is a
commit where one is known to us; otherwise the newest is taken, and its commit is written into every result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from caco_recipes.evaluation import schemas
from caco_recipes.recipe import RecipeError, nearest


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """Where the Hub keeps a benchmark.

    Attributes:
        name: dataset id.
        configs: configurations to read, one after the other; `None` stands for the default one.
        splits: splits to read of each.
        revision: commit; `None` means the newest one, which is then recorded.
        columns: columns that must be there, so that a changed schema is an error and not a silent blank.
    """

    name: str
    splits: tuple[str, ...] = ("test",)
    configs: tuple[str | None, ...] = (None,)
    revision: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: how recipes and results call it.
        title: how tables call it.
        kind: what an answer is: `answer` (mathematics), `choice` (an option letter), `text` (a short text), `code` (a
            function that must pass tests).
        problems: how many there are; a file with another number is an error.
        paper_rule: whose extraction and grading made the published numbers: `qwen`, `dart`, `olympiad`, `theoremqa`;
            for the kinds that are not mathematics the strict rule is the only one.
        hub: where the Hub keeps it; `None` if no Hub copy of exactly this set is known to us.
        local_file: the usual name of its file in a folder of benchmark files (`data_dir` of a recipe).
        id_columns: columns that make the id of a row in our own fields (one is not enough where a book's exercises
            count anew in every chapter).
        from_hub: turns a row in the Hub's schema into our own fields.
        unit_in_brackets: whether a gold carries its unit in brackets, as in `9 (apples)`; the unit is no part of the answer.
        note: what a reader of its number should know.
    """

    name: str
    title: str
    problems: int
    kind: str = "answer"
    paper_rule: str = "qwen"
    hub: HubSource | None = None
    local_file: str = ""
    id_columns: tuple[str, ...] = ("id",)
    from_hub: Callable[[dict[str, Any]], dict[str, Any] | None] = schemas.problem_answer
    unit_in_brackets: bool = False
    licence: str = ""
    note: str = ""


_MATH = HubSource(
    name="DigitalLearningGmbH/MATH-lighteval",
    configs=("default",),
    revision="0530c78699ea5e8eb5530600900e1f328b48acad",
    columns=("problem", "solution", "level", "type"),
)
_GSM8K = HubSource(
    name="openai/gsm8k",
    configs=("main",),
    revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c",
    columns=("question", "answer"),
)
_OLYMPIAD = HubSource(
    name="Hothan/OlympiadBench",
    configs=("OE_TO_maths_en_COMP",),
    splits=("train",),
    columns=("id", "question", "final_answer", "answer_type", "is_multiple_answer", "error", "unit"),
)
_AGIEVAL_TASKS = (
    "aqua-rat",
    "gaokao-english",
    "logiqa-en",
    "lsat-ar",
    "lsat-lr",
    "lsat-rc",
    "sat-en",
    "sat-en-without-passage",
    "sat-math",
)
_BBH_TASKS = (
    "boolean_expressions",
    "causal_judgement",
    "date_understanding",
    "disambiguation_qa",
    "dyck_languages",
    "formal_fallacies",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "sports_understanding",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
)

# The paper's six (table 1), in its order.
PAPER_BENCHMARKS = ("math", "gsm8k", "college_math", "deepmind_math", "olympiadbench", "theoremqa")

_ALL = (
    Benchmark(
        name="math",
        title="MATH",
        problems=5000,
        hub=_MATH,
        from_hub=schemas.math_solution,
        local_file="math_test.jsonl",
        licence="MIT",
        note="9 golds taken from the last box are wrong and 3 problems accept another answer; strict corrects them.",
    ),
    Benchmark(
        name="gsm8k",
        title="GSM8K",
        problems=1319,
        hub=_GSM8K,
        from_hub=schemas.gsm8k,
        local_file="gsm8k_test.jsonl",
        licence="MIT",
    ),
    Benchmark(
        name="college_math",
        title="CollegeMath",
        problems=2818,
        paper_rule="dart",
        local_file="college_math.jsonl",
        id_columns=("source", "id"),
        licence="mixed, partly non-commercial: load it, don't ship it",
        note="188 golds are prose, 36 problems occur twice.",
    ),
    Benchmark(
        name="deepmind_math",
        title="DeepMind-Mathematics",
        problems=1000,
        paper_rule="dart",
        local_file="deepmind_math.jsonl",
        licence="Apache-2.0 (generator)",
    ),
    Benchmark(
        name="olympiadbench",
        title="OlympiadBench-Math",
        problems=675,
        paper_rule="olympiad",
        hub=_OLYMPIAD,
        from_hub=schemas.olympiadbench,
        local_file="olympiadbench_math_en.jsonl",
        licence="MIT",
        note="94 problems have several answers; one carries its own tolerance.",
    ),
    Benchmark(
        name="theoremqa",
        title="TheoremQA",
        problems=800,
        paper_rule="theoremqa",
        hub=HubSource(name="TIGER-Lab/TheoremQA", columns=("Question", "Answer", "Answer_type", "Picture")),
        from_hub=schemas.theoremqa,
        local_file="theoremqa.jsonl",
        licence="MIT",
        note="53 problems need a picture that a text model can't see.",
    ),
    Benchmark(
        name="math500",
        title="MATH-500",
        problems=500,
        hub=HubSource(name="HuggingFaceH4/MATH-500", columns=("problem", "answer", "unique_id")),
        from_hub=schemas.math500,
        local_file="math500.jsonl",
        licence="MIT",
    ),
    Benchmark(
        name="aime24",
        title="AIME 2024",
        problems=30,
        hub=HubSource(
            name="Maxwell-Jia/AIME_2024",
            splits=("train",),
            revision="8d88b2876a82a080e2f172cc9b25d0d9d2cb4792",
            columns=("ID", "Problem", "Answer"),
        ),
        from_hub=schemas.aime2024,
        local_file="aime24.jsonl",
        licence="no licence file found",
    ),
    Benchmark(
        name="aime25",
        title="AIME 2025",
        problems=30,
        hub=HubSource(
            name="math-ai/aime25",
            revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
            columns=("id", "problem", "answer"),
        ),
        local_file="aime25.jsonl",
        licence="no licence file found",
    ),
    Benchmark(
        name="amc23",
        title="AMC 2023",
        problems=40,
        hub=HubSource(name="math-ai/amc23", columns=("answer",)),
        local_file="amc23.jsonl",
        licence="no licence file found",
    ),
    Benchmark(
        name="svamp",
        title="SVAMP",
        problems=1000,
        hub=HubSource(name="ChilleD/SVAMP", splits=("train", "test"), columns=("ID", "Body", "Question", "Answer")),
        from_hub=schemas.svamp,
        local_file="svamp.jsonl",
        licence="MIT",
    ),
    Benchmark(
        name="asdiv",
        title="ASDiv",
        problems=2215,
        hub=HubSource(name="EleutherAI/asdiv", splits=("validation",), columns=("body", "question", "answer")),
        from_hub=schemas.asdiv,
        local_file="asdiv.jsonl",
        unit_in_brackets=True,
        licence="CC BY-NC 4.0",
        note="Problems with several answers are left out, as in Qwen2.5-Math's copy.",
    ),
    Benchmark(
        name="gsm_hard",
        title="GSM-Hard",
        problems=1319,
        hub=HubSource(name="reasoning-machines/gsm-hard", splits=("train",), columns=("input", "target")),
        from_hub=schemas.gsm_hard,
        local_file="gsm_hard.jsonl",
        licence="MIT",
    ),
    Benchmark(
        name="minerva_math",
        title="Minerva (OCW)",
        problems=272,
        hub=HubSource(name="math-ai/minervamath", columns=("question", "answer")),
        from_hub=schemas.question_answer,
        local_file="minerva_math.jsonl",
    ),
    Benchmark(
        name="gaokao2023en",
        title="Gaokao 2023 (English)",
        problems=385,
        hub=HubSource(
            name="MARIO-Math-Reasoning/Gaokao2023-Math-En", splits=("train",), columns=("question", "answer")
        ),
        from_hub=schemas.question_answer,
        local_file="gaokao2023en.jsonl",
        note="A few golds are empty: nothing can be right on them under strict.",
    ),
    # The generalisation set (table 2). The paper ran it in OpenCompass, whose settings it does not give.
    Benchmark(
        name="humaneval_plus",
        title="HumanEval+",
        problems=164,
        kind="code",
        hub=HubSource(name="evalplus/humanevalplus", columns=("task_id", "prompt", "test", "entry_point")),
        from_hub=schemas.humaneval,
        local_file="humaneval_plus.jsonl",
        licence="Apache-2.0",
    ),
    Benchmark(
        name="arc_challenge",
        title="ARC-c",
        problems=1172,
        kind="choice",
        hub=HubSource(
            name="allenai/ai2_arc",
            configs=("ARC-Challenge",),
            revision="210d026faf9955653af8916fad021475a3f00453",
            columns=("id", "question", "choices", "answerKey"),
        ),
        from_hub=schemas.arc,
        local_file="arc_challenge.jsonl",
        licence="CC BY-SA 4.0",
    ),
    Benchmark(
        name="bbh",
        title="BBH",
        problems=6511,
        kind="text",
        hub=HubSource(name="lukaemon/bbh", configs=_BBH_TASKS, columns=("input", "target")),
        from_hub=schemas.bbh,
        local_file="bbh.jsonl",
        licence="MIT",
    ),
    Benchmark(
        name="agieval",
        title="AGIEval (English, options)",
        problems=2852,
        kind="choice",
        hub=HubSource(
            name="hails/agieval-{config}",  # one Hub dataset per task
            configs=_AGIEVAL_TASKS,
            columns=("query", "choices", "gold"),
        ),
        from_hub=schemas.agieval,
        local_file="agieval.jsonl",
        licence="MIT",
        note="The nine English option tasks; the Chinese and the fill-in ones are not in it.",
    ),
    Benchmark(
        name="korbench",
        title="KorBench",
        problems=1250,
        kind="text",
        from_hub=schemas.korbench,
        local_file="korbench.jsonl",
        licence="Apache-2.0",
        note="Exact match of the bracketed answer; the rule-specific matchers of the original are not in it.",
    ),
    Benchmark(
        name="mmlu_stem",
        title="MMLU-STEM",
        problems=3018,
        kind="choice",
        hub=HubSource(
            name="cais/mmlu",
            configs=("all",),
            revision="c30699e8356da336a370243923dbaf21066bb9fe",
            columns=("question", "subject", "choices", "answer"),
        ),
        from_hub=schemas.mmlu_stem,
        local_file="mmlu_stem.jsonl",
        licence="MIT",
    ),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
GENERALISATION_BENCHMARKS = ("humaneval_plus", "arc_challenge", "bbh", "agieval", "korbench", "mmlu_stem")


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of a name. Raises `RecipeError` with the nearest valid one."""
    if name not in BENCHMARKS:
        raise RecipeError(f"benchmarks: no benchmark {name!r}; {nearest(name, BENCHMARKS)}")
    return BENCHMARKS[name]

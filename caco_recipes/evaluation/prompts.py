"""Prompts of an evaluation: the question as its kind asks for it, and the frame that the model was tuned on.

The texts are files, `caco_recipes/prompts/evaluate_*.md`, and their hashes go into every result. A question is put first
(`evaluate_choice`, `evaluate_olympiad`, …; plain mathematics is the problem itself), then the frame around it:

- `caco`: the paper's evaluation prompt, byte for byte (it ends in a line break);
- `training`: the text that the paper's models are tuned on, which lacks "Let's think step by step.";
- `chat`: the model's own chat template, for instruction-tuned models; asks for a box;
- `plain`: no frame.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from caco_recipes.evaluation.choices import show_options
from caco_recipes.evaluation.loading import Problem
from caco_recipes.identity import sha256_text

FRAMES = ("caco", "training", "chat", "plain")

# OlympiadBench's types in the words of its prompt, which is a constant of its protocol; a tuple's type is left open, as there.
_ANSWER_KINDS = {
    "Numerical": "a numerical value",
    "Expression": "an expression",
    "Equation": "an equation",
    "Interval": "an interval",
}


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt and the hash of the texts that it was made from."""

    text: str
    template_sha256: str


@cache
def template(name: str) -> str:
    """The text of `prompts/evaluate_NAME.md`, unchanged to the last line break."""
    return files("caco_recipes").joinpath("prompts", f"evaluate_{name}.md").read_text(encoding="utf-8")


def fill(name: str, **values: str) -> str:
    """A template with its `$names` filled in; what a value contains is never interpreted."""
    return string.Template(template(name)).substitute(values)


def question_template(problem: Problem, frame: str) -> str:
    """Which template puts the question; empty for plain mathematics, where the problem is the question."""
    if problem.paper_rule == "olympiad":
        return "olympiad"
    if problem.benchmark == "korbench":
        return "kor"
    if problem.kind in ("choice", "text", "code"):
        return problem.kind
    # The paper's frame asks for no box: its models learned to give one. Others have to be told.
    return "boxed" if frame in ("chat", "plain") else ""


def question(problem: Problem, frame: str) -> str:
    """The question as it stands inside the frame."""
    name = question_template(problem, frame)
    if not name:
        return problem.problem
    if name == "olympiad":
        return fill(name, problem=problem.problem, **_olympiad(problem)).rstrip("\n")
    if name == "choice":
        return fill(name, problem=problem.problem, options=show_options(problem.choices)).rstrip("\n")
    if name == "code":
        return fill(name, problem=problem.problem.strip("\n")).rstrip("\n")
    return fill(name, problem=problem.problem).rstrip("\n")


def _olympiad(problem: Problem) -> dict[str, str]:
    kinds = [_ANSWER_KINDS.get(name.strip(), "") for name in (problem.answer_type or "").split(",")]
    sentence = ""
    if all(kinds) and not problem.is_multiple:
        sentence = f"The answer of The problem should be {kinds[0]}. "
    elif all(kinds) and len(set(kinds)) == 1:
        sentence = f"The problem has multiple answers, each of them should be {kinds[0]}. "
    elif all(kinds):
        sentence = f"The problem has multiple answers, with the answers in order being {', '.join(kinds)}. "
    box = r"\boxed{multiple answers connected with commas}" if problem.is_multiple else r"\boxed{answer}"
    if problem.unit:
        rule = r", note that the unit of the answer should not be included in \boxed{}"
        return {"answer_kind": sentence, "box": box + "(unit)", "unit_rule": rule}
    return {"answer_kind": sentence, "box": box, "unit_rule": ""}


def render(
    problem: Problem,
    frame: str,
    *,
    chat: Callable[[list[dict[str, str]]], str] | None = None,
    prefix: str = "",
) -> RenderedPrompt:
    """The prompt of an item.

    Args:
        frame: one of `FRAMES`.
        chat: applies the model's chat template to messages; needed for the frame `chat`.
        prefix: written before everything, e.g. a beginning-of-sequence token where the original's engine added one.

    Raises:
        ValueError: an unknown frame, or `chat` without a chat template.
    """
    if frame not in FRAMES:
        raise ValueError(f"frame {frame!r} is not one of {', '.join(FRAMES)}")
    asked = question(problem, frame)
    used = [
        name for name in (question_template(problem, frame), frame if frame in ("caco", "training") else "") if name
    ]
    digest = sha256_text("\0".join(map(template, used)))
    if frame == "chat":
        if chat is None:
            raise ValueError("the frame 'chat' needs a model with a chat template")
        return RenderedPrompt(prefix + chat([{"role": "user", "content": asked}]), digest)
    framed = fill(frame, problem=asked) if frame in ("caco", "training") else asked
    return RenderedPrompt(prefix + framed, digest)

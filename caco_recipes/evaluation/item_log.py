"""The per-item log: one JSON line per response, with everything that its verdict rests on.

Columns: benchmark, id, subset, problem, gold, sample_index, response, finish_reason, prompt_tokens, completion_tokens,
request_key, contaminated, and per protocol under `judgements`: extracted, start, end, extraction, verdict, reason, rule.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caco_recipes.evaluation.scores import GradedItem


def rows(items: Iterable[GradedItem]) -> Iterable[dict[str, Any]]:
    """The log's rows, in the items' order."""
    for item in items:
        for response, judgements in zip(item.responses, item.judgements):
            yield {
                "benchmark": item.problem.benchmark,
                "id": item.problem.id,
                "subset": item.problem.subset,
                "problem": item.problem.problem,
                "gold": item.problem.answer,
                "sample_index": response.sample_index,
                "response": response.text,
                "finish_reason": response.finish_reason,
                "error": response.error,
                "prompt_tokens": response.prompt_tokens,
                "completion_tokens": response.completion_tokens,
                "request_key": response.request_key,
                "contaminated": item.contaminated,
                "judgements": {protocol: asdict(judgement) for protocol, judgement in judgements.items()},
            }


def write_log(path: Path, items: Iterable[GradedItem]) -> None:
    """Writes the log whole or not at all."""
    write_lines(path, rows(items))


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """JSON Lines, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8", errors="surrogatepass") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """A text file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)

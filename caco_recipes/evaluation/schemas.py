"""Foreign schemas: one small function per published dataset, from its row to our own fields.

Our fields: `id`, `problem`, `answer` (text or list of texts), and where they apply `choices` (option texts in order),
`answer_type`, `error` (absolute tolerance), `unit`, `is_multiple`, `picture`, `subset`, `tests`, `entry_point`. A function
returns `None` for a row that is not part of the benchmark. Missing columns raise `KeyError`; the loader says which file.
"""

import json
from typing import Any

from caco_recipes.evaluation.choices import LETTERS

# The 18 subjects that Qwen2.5-Math's evaluation calls MMLU-STEM: 3,018 questions.
STEM_SUBJECTS = frozenset(
    """abstract_algebra astronomy college_biology college_chemistry college_computer_science college_mathematics
    college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics
    high_school_biology high_school_chemistry high_school_computer_science high_school_mathematics
    high_school_physics high_school_statistics machine_learning""".split()
)


def problem_answer(row: dict[str, Any]) -> dict[str, Any]:
    """`problem`, `answer` under their own names (AMC's copy says `question`)."""
    problem = row["problem"] if "problem" in row else row["question"]
    return row | {"problem": problem, "answer": _text(row["answer"])}


def question_answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row.get("id"), "problem": row["question"], "answer": _text(row["answer"])}


def math_solution(row: dict[str, Any]) -> dict[str, Any]:
    """MATH: the gold is what the solution's last box holds."""
    return {
        "problem": row["problem"],
        "answer": last_boxed(row["solution"]),
        "subset": row["type"],
        "level": row["level"],
    }


def math500(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["unique_id"],
        "problem": row["problem"],
        "answer": row["answer"],
        "subset": row.get("subject", ""),
    }


def gsm8k(row: dict[str, Any]) -> dict[str, Any]:
    """GSM8K: the gold follows `####`."""
    _, mark, answer = row["answer"].rpartition("####")
    if not mark:
        raise ValueError("a GSM8K answer has no ####")
    return {"problem": row["question"], "answer": answer.strip().replace(",", "")}


def olympiadbench(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "problem": row["question"],
        "answer": list(row["final_answer"]),
        "answer_type": row["answer_type"],
        "error": row["error"],
        "unit": row["unit"],
        "is_multiple": row["is_multiple_answer"],
        "subset": row.get("subfield") or "",
    }


def theoremqa(row: dict[str, Any]) -> dict[str, Any]:
    """TheoremQA: answers are text on the Hub (`"[0, 5]"`, `"True"`), typed by `Answer_type`."""
    answer, kind = row["Answer"], row["Answer_type"]
    if isinstance(answer, str) and kind not in ("option",):
        try:
            answer = json.loads(answer.lower() if kind == "bool" else answer)
        except ValueError:
            pass  # kept as text: the grader parses it
    return {
        "problem": row["Question"],
        "answer": answer,
        "answer_type": kind,
        "picture": "picture" if row["Picture"] else None,
    }


def aime2024(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["ID"], "problem": row["Problem"], "answer": _text(row["Answer"])}


def svamp(row: dict[str, Any]) -> dict[str, Any]:
    body = row["Body"].strip()
    body = body if body.endswith((".", "?", "!")) else body + "."
    return {"id": row["ID"], "problem": f"{body} {row['Question'].strip()}", "answer": _text(row["Answer"])}


def asdiv(row: dict[str, Any]) -> dict[str, Any] | None:
    """ASDiv: rows with several answers (`;`) are left out, as Qwen2.5-Math leaves them out: 2,215 of 2,305."""
    if ";" in row["answer"]:
        return None
    return {"problem": f"{row['body'].strip()} {row['question'].strip()}", "answer": row["answer"]}


def gsm_hard(row: dict[str, Any]) -> dict[str, Any]:
    return {"problem": row["input"], "answer": _text(row["target"])}


def humaneval(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["task_id"],
        "problem": row["prompt"],
        "answer": row["entry_point"],
        "entry_point": row["entry_point"],
        "tests": row["test"],
    }


def arc(row: dict[str, Any]) -> dict[str, Any]:
    """ARC: a few items label their options 1 to 4; the gold becomes a letter by position."""
    labels = list(row["choices"]["label"])
    return {
        "id": row["id"],
        "problem": row["question"],
        "choices": list(row["choices"]["text"]),
        "answer": LETTERS[labels.index(row["answerKey"])],
    }


def bbh(row: dict[str, Any]) -> dict[str, Any]:
    return {"problem": row["input"], "answer": row["target"].strip(), "subset": row.get("subset", "")}


def agieval(row: dict[str, Any]) -> dict[str, Any] | None:
    """AGIEval: the Hub copies (`query`, `choices`, `gold`) or the original files (`question`, `options`, `label`)."""
    if "query" in row:
        gold = row["gold"]
        gold = gold[0] if isinstance(gold, list | tuple) else gold
        choices = [strip_label(choice) for choice in row["choices"]]
        question = _without_options(row["query"])
        return {"problem": question, "choices": choices, "answer": LETTERS[gold], "subset": row.get("subset", "")}
    if not row["options"]:
        return None  # fill-in tasks are graded as mathematics elsewhere, not by letters
    passage = f"{row['passage']}\n\n" if row.get("passage") else ""
    choices = [strip_label(choice) for choice in row["options"]]
    label = row["label"]
    label = label[0] if isinstance(label, list) else label
    return {
        "problem": passage + row["question"],
        "choices": choices,
        "answer": label.strip("() "),
        "subset": row.get("subset", ""),
    }


def korbench(row: dict[str, Any]) -> dict[str, Any]:
    """KorBench: a sample joined with its rule (`rule_content`); the loader reads the repository's folders."""
    return {
        "id": f"{row['category']}/{row['idx']}",
        "problem": f"{row['rule_content']}\n\n{row['question']}",
        "answer": row["answer"],
        "subset": row["category"],
    }


def mmlu_stem(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["subject"] not in STEM_SUBJECTS:
        return None
    answer = row["answer"]
    return {
        "problem": row["question"],
        "choices": list(row["choices"]),
        "answer": LETTERS[answer] if isinstance(answer, int) else answer,
        "subset": row["subject"],
    }


def last_boxed(solution: str) -> str:
    """The content of the last `\\boxed` of a human solution; `\\boxed 2` holds one token. Empty if there is none."""
    start = max(solution.rfind("\\boxed"), solution.rfind("\\fbox"))
    if start < 0:
        return ""
    rest = solution[start:].partition("boxed" if solution.startswith("\\boxed", start) else "fbox")[2].lstrip()
    if not rest.startswith("{"):
        return rest.split("$")[0].split()[0] if rest.split("$")[0].split() else ""
    depth = 0
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if not depth:
            return rest[1:position]
    return rest[1:]


def strip_label(choice: str) -> str:
    """`(A) four` or `A. four` -> `four`."""
    text = choice.strip()
    if len(text) > 2 and text[0] == "(" and text[2] == ")" and text[1].upper() in LETTERS:
        return text[3:].strip()
    if len(text) > 1 and text[0] in LETTERS and text[1] in ".):":
        return text[2:].strip()
    return text


def _without_options(query: str) -> str:
    """The Hub copies of AGIEval carry `Q: … Answer Choices: (A)… A: …`; the options are given apart."""
    query = query.split("Answer Choices:")[0].strip()
    return query.removeprefix("Q:").strip()


def _text(answer: Any) -> str:
    """A gold number as text; a whole number that JSON holds as a float loses its `.0`."""
    if isinstance(answer, float) and answer.is_integer():
        return str(int(answer))
    return answer if isinstance(answer, str) else json.dumps(answer)

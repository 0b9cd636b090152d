"""What the check for contamination finds and what it doesn't, measured on planted contaminations of every benchmark.

    python -m caco_recipes.decontamination.power SHARED_FOLDER          # writes power.json and the tables of docs/trust.md

Every item of a benchmark is planted in seven disguises and looked up in the shipped indexes. `found` is the share that is
rejected, `borderline` the share that is left undecided. An item that a disguise doesn't change (no number, no name) is not
counted for it. Clean texts are looked up too: how many of them are flagged is the price.
"""

import json
import random
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from caco_recipes.decontamination.index import Index

POWER = Path(__file__).parent / "power.json"
NAMES = "Amara Bjarne Chiara Dmitri Eleni Fatou Goran Hanako Ilias Jasmina Kwame Leyla Mateo Nadia Oskar Priya".split()
FILLERS = "quickly simply roughly neatly always often never still indeed rather".split()
# Words with a capital inside a sentence that are no names.
NOT_NAMES = frozenset(
    "I If The A An Find What How Let Given In On At Each Then When Express January February March April May June July August"
    " September October November December Monday Tuesday Wednesday Thursday Friday Saturday Sunday English French".split()
)
_NAME = re.compile(r"(?<=[a-z,;] )([A-Z][a-z]{2,})\b")
_NUMBER = re.compile(r"\d+")
BEFORE = "Here is a question that was asked in class last week. Think about it carefully and write down every step."
AFTER = "Before you finish, read your solution again, look for slips, and say how sure you are about the result."

Disguise = Callable[[str, random.Random], str]


def verbatim(text: str, draw: random.Random) -> str:
    """As it is, in other white space."""
    return "  " + text.replace(" ", "\n", 1) + " "


def inside(text: str, draw: random.Random) -> str:
    """Between two sentences of another text."""
    return f"{BEFORE} {text} {AFTER}"


def light_edit(text: str, draw: random.Random) -> str:
    """One word in twelve replaced, dropped or doubled by another; numbers and formulas stay."""
    words = text.split(" ")
    plain = [at for at, word in enumerate(words) if word.isalpha() and len(word) > 1]
    for at in draw.sample(plain, min(len(plain), max(1, len(words) // 12))):
        words[at] = draw.choice(("", draw.choice(FILLERS), f"{words[at]} {draw.choice(FILLERS)}"))
    return " ".join(word for word in words if word)


def changed_numbers(text: str, draw: random.Random) -> str:
    """Every number is another one of the same length."""

    def other(match: re.Match) -> str:
        digits = match[0]
        low = 10 ** (len(digits) - 1)
        return str(next(n for n in iter(lambda: draw.randrange(low, low * 10), None) if str(n) != digits))

    return _NUMBER.sub(other, text)


def other_names(text: str, draw: random.Random) -> str:
    """Every name is one of another language, the same one each time."""
    names = sorted(set(_NAME.findall(text)) - NOT_NAMES)
    others = dict(zip(names, draw.sample(NAMES, min(len(names), len(NAMES)))))
    return re.sub(r"\b[A-Z][a-z]{2,}\b", lambda match: others.get(match[0], match[0]), text)


def names_and_edit(text: str, draw: random.Random) -> str:
    """Other names and a light edit together."""
    changed = other_names(text, draw)
    return text if changed == text else light_edit(changed, draw)


def retold(text: str, draw: random.Random) -> str:
    """Every word is another one: only the numbers (and the answer, which is given along) are the same."""
    pool = (*FILLERS, "stone", "river", "basket", "ticket", "window")
    numbers = _NUMBER.findall(text)
    if len(numbers) < 3:
        return text
    return re.sub(r"[^\W\d_]{2,}", lambda _: draw.choice(pool), text)


DISGUISES: dict[str, Disguise] = {
    "verbatim": verbatim,
    "inside a text": inside,
    "light edit": light_edit,
    "other names": other_names,
    "names and edit": names_and_edit,
    "changed numbers": changed_numbers,
    "retold": retold,
}


def measure(index: Index, texts: list[str], answers: list[Any], seed: int = 0) -> dict[str, dict[str, float]]:
    """Per disguise: items that it changes, and the shares of them found and borderline."""
    made = {}
    for name, disguise in DISGUISES.items():
        draw = random.Random(f"{seed}:{name}")
        planted = [(disguise(text, draw), answer, text) for text, answer in zip(texts, answers, strict=True)]
        planted = [entry for entry in planted if entry[0] != entry[2]]
        # Numbers that change make another answer; where only the wording does, the row knows the item's answer.
        known = [None if name == "changed numbers" else answer for _, answer, _ in planted]
        found = index.match_all([text for text, _, _ in planted], known)
        certain = sum(any(match.certain for match in matches) for matches in found)
        borderline = sum(bool(matches) for matches in found) - certain
        count = len(planted)
        made[name] = {"items": count} | {
            key: round(value / count, 4) if count else 0.0
            for key, value in (("found", certain), ("borderline", borderline))
        }
    return made


def flagged(index: Index, texts: list[str], answers: list[Any]) -> dict[str, float]:
    """Of texts that are held to be clean: how many, and the shares that are rejected and undecided."""
    found = index.match_all(texts, answers)
    certain = sum(any(match.certain for match in matches) for matches in found)
    return {
        "texts": len(texts),
        "rejected": round(certain / len(texts), 4),
        "undecided": round((sum(bool(matches) for matches in found) - certain) / len(texts), 4),
    }


def write(shared: Path) -> dict[str, Any]:
    """Measures on the benchmarks and seeds of `shared` and writes power.json."""
    from caco_recipes.decontamination.build import OTHERS
    from caco_recipes.evaluation.benchmarks import BENCHMARKS

    index = Index.load("all")
    benchmarks = {}
    for entry in index.sets:
        name = entry["name"]
        file = OTHERS[name][0] if name in OTHERS else BENCHMARKS[name].local_file
        rows = list(_rows(shared / "data/benchmarks" / file))
        measured = measure(index, [row["problem"] for row in rows], [row.get("answer") for row in rows])
        benchmarks[name] = {"title": entry["title"], "items": len(rows), "disguises": measured}
    seeds = list(_rows(shared / "data/seeds/seeds_math.jsonl"))
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in seeds:
        groups.setdefault(row["source"].split("/")[0] if row["source"] != "DeepScaleR/AIME" else "AIME", []).append(
            row
        )
    clean = {
        name: flagged(index, [row["problem"] for row in rows], [row["answer"] for row in rows])
        for name, rows in sorted(groups.items())
    }
    told = [row["problem"] for row in _rows(shared / "data/seeds/backtranslations.jsonl")]
    clean["back-translated by a model (CodeI/O)"] = flagged(index, told, [None] * len(told))
    made = {"benchmarks": benchmarks, "texts": clean}
    POWER.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return made


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    from caco_recipes.json_lines import read_rows

    return read_rows(path)


def table(names: Iterable[str] | None = None) -> str:
    """The power table in Markdown: per benchmark and disguise, found (and borderline) in percent of the items."""
    measured = json.loads(POWER.read_text())["benchmarks"]
    lines = [
        "| benchmark | items | " + " | ".join(DISGUISES) + " |",
        "|---|---:|" + "---:|" * len(DISGUISES),
    ]
    for name in sorted(measured if names is None else set(names) & set(measured)):
        entry = measured[name]
        cells = [_cell(entry["disguises"][disguise]) for disguise in DISGUISES]
        lines.append(f"| {entry['title']} | {entry['items']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(measured: dict[str, float]) -> str:
    if not measured["items"]:
        return "–"
    text = f"{100 * measured['found']:.1f}"
    return text + (f" (+{100 * measured['borderline']:.1f})" if measured["borderline"] >= 0.0005 else "")


def clean_table() -> str:
    """The table of flagged clean texts in Markdown."""
    measured = json.loads(POWER.read_text())["texts"]
    lines = ["| texts | number | rejected | undecided |", "|---|---:|---:|---:|"]
    for name, entry in measured.items():
        shares = " | ".join(f"{100 * entry[key]:.2f} %" for key in ("rejected", "undecided"))
        lines.append(f"| {name} | {entry['texts']:,} | {shares} |")
    return "\n".join(lines) + "\n"


def card_section(indexes: Iterable[str]) -> str:
    """What a data card says of the check: which share of each benchmark it could have found. Markdown, "" for none.

    Args:
        indexes: as in a decontaminate step (`all`, names; files of one's own have no measured power).
    """
    wanted = [str(name) for name in indexes]
    known = json.loads(POWER.read_text())["benchmarks"]
    names = sorted(known) if "all" in wanted else [name for name in wanted if name in known]
    own = [Path(name).stem for name in wanted if name != "all" and name not in known]
    text = ""
    if names:
        text = (
            "Power of the contamination check: percent of each benchmark's items that it finds when they are planted in a "
            "disguise, and in brackets those that it leaves undecided.\n\n" + table(names)
        )
    if own:
        text += f"\nAlso checked against, without a measured power: {', '.join(own)}.\n"
    return text


def update_docs(page: Path) -> None:
    """Puts the tables between their marks in a page."""
    text = page.read_text()
    for name, content in (("power", table()), ("clean", clean_table())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n{content}\n{end}{after}"
    page.write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    page = Path("docs/trust.md")
    if page.exists():
        update_docs(page)
    print(table() + "\n" + clean_table())

"""Writes the audit tables of docs/grading.md between their markers:

    python tests/grading_table.py [--shared FOLDER]

The first table is of the project's own labelled cases, the second of the reference data where it is at hand.
"""

import argparse
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from grading_cases import DIFFERENT, EQUAL  # noqa: E402

from caco_recipes.grading.audit import Pair, audit_file, markdown, run  # noqa: E402


def own_table() -> str:
    """The audit of the project's own cases."""
    pairs = [Pair(gold, pred, True, family) for family, rows in EQUAL.items() for gold, pred in rows]
    pairs += [Pair(gold, pred, False, family) for family, rows in DIFFERENT.items() for gold, pred in rows]
    return markdown(run(pairs))


def replaced(document: str, name: str, table: str) -> str:
    """The document with the table between `<!-- NAME -->` and `<!-- /NAME -->`."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if not pattern.search(document):
        raise SystemExit(f"docs/grading.md has no markers {name}")
    return pattern.sub(lambda match: match.group(1) + table + match.group(2), document)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shared", default=os.environ.get("CACO_SHARED", str(ROOT.parent / "shared")))
    path = ROOT / "docs/grading.md"
    document = replaced(path.read_text(encoding="utf-8"), "own cases", own_table())
    pairs = Path(options.parse_args().shared) / "data/grading/answer_pairs.jsonl"
    if pairs.exists():
        document = replaced(document, "reference pairs", audit_file(pairs))
    temporary = path.with_suffix(".md.new")
    temporary.write_text(document, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()

"""Identity and lineage: what a row is called, where it comes from, and what was done to it.

A row's id is the first 16 hex digits of the sha256 of its canonical content: the problem with white space folded for a
seed, the program's normalised AST for an executed program. The AST is made on the sandbox's side of the fence (our own
process never parses a model's source); until then a program goes by the hash of its text.
"""

import hashlib
import json
from typing import Any

ID_DIGITS = 16


def sha256_text(text: str) -> str:
    """sha256 (64 hex digits) of UTF-8 text. Lone surrogates, which JSON can carry, are hashed rather than refused."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def short_id(canonical: str) -> str:
    """A row id from canonical content."""
    return sha256_text(canonical)[:ID_DIGITS]


def fold_whitespace(text: str) -> str:
    """Runs of white space become one blank; none at either end."""
    return " ".join(text.split())


def seed_id(problem: str) -> str:
    """The id of a seed: white space in its problem does not count."""
    return short_id(fold_whitespace(problem))


def draft_id(code: str) -> str:
    """The id of a program that has not been executed yet: line ends and trailing blanks do not count."""
    return short_id("\n".join(line.rstrip() for line in code.strip().splitlines()))


def fingerprint(*parts: Any) -> str:
    """sha256 over JSON of `parts` with sorted keys: the identity of a step's work or of a configuration."""
    return sha256_text(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str))


def add_receipt(lineage: str, *, stage: str, version: int, **facts: Any) -> str:
    """`lineage` (JSON list as text, may be empty) with one more receipt: what stage did what, by which rules.

    Facts that are None or empty are left out. Measured values (seconds, memory, dates) don't belong in a receipt: the
    same work must give the same bytes.
    """
    receipts = json.loads(lineage) if lineage else []
    receipts.append({"stage": stage, "version": version} | {k: v for k, v in facts.items() if v not in (None, "")})
    return json.dumps(receipts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def receipts(lineage: str) -> list[dict[str, Any]]:
    """The receipts in a row's `lineage` column, oldest first."""
    return json.loads(lineage) if lineage else []


def without_last_receipt(lineage: str) -> str:
    """`lineage` as it was before `add_receipt`."""
    before = receipts(lineage)[:-1]
    return json.dumps(before, sort_keys=True, ensure_ascii=False, separators=(",", ":")) if before else ""

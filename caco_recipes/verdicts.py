"""The words every part shares: execution statuses, the three verdicts and the reason codes.

A check answers `accepted`, `rejected` or `undecided`. Undecided means that *we* could not tell (a dead worker, a full
disk, an answer outside the grader's reach): it never counts as right in an accuracy and never as wrong in a filter.
A reason is a code from `REASONS`, with a detail after a colon where the code asks for one: `timeout:cpu`.
"""

from dataclasses import dataclass

ACCEPTED = "accepted"
REJECTED = "rejected"
UNDECIDED = "undecided"
VERDICTS = (ACCEPTED, REJECTED, UNDECIDED)

STATUSES = ("ok", "error", "timeout", "memory", "output_limit", "denied", "infrastructure")

# code -> whether a detail follows the colon ("required", "none" or "optional")
REASONS = {
    # execution
    "syntax_error": "optional",
    "exception": "required",  # the exception's type
    "timeout": "required",  # cpu | wall
    "memory": "optional",
    "output_limit": "optional",
    "denied": "required",  # what was refused
    # rules of the paper (appendix A.4)
    "too_short": "none",
    "no_input": "none",
    "no_output": "none",
    "unused_input": "required",  # the key
    "too_large": "optional",
    # metamorphic checks
    "nondeterministic": "optional",
    "insensitive": "required",  # the key
    "fragile": "optional",  # what most neighbours fail with
    # answers, judges, faithfulness
    "answer_mismatch": "optional",
    "no_answer": "none",
    "truncated": "optional",
    "judge_no": "optional",
    "unfaithful": "required",
    # difficulty
    "too_easy": "optional",
    # sets
    "duplicate": "required",  # the level
    "contaminated": "required",  # the benchmark
    # input and machinery
    "bad_row": "required",
    "infrastructure": "required",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one row.

    Attributes:
        verdict: `accepted`, `rejected` or `undecided`.
        reason: a code of `REASONS`, empty when accepted.
        rule: the rule or tier that decided, for the receipt (free text, empty if there is only one).
    """

    verdict: str
    reason: str = ""
    rule: str = ""

    @property
    def accepted(self) -> bool:
        return self.verdict == ACCEPTED


def verdict_of_status(status: str) -> str:
    """The verdict that an execution status stands for. Raises `ValueError` for an unknown status."""
    if status not in STATUSES:
        raise ValueError(f"unknown status {status!r}: expected one of {', '.join(STATUSES)}")
    if status == "ok":
        return ACCEPTED
    return UNDECIDED if status == "infrastructure" else REJECTED


def check_reason(reason: str) -> str:
    """Returns `reason` if it is empty or a well-formed reason code; raises `ValueError` otherwise."""
    if not reason:
        return reason
    code, colon, detail = reason.partition(":")
    if code not in REASONS:
        raise ValueError(f"unknown reason code {code!r}")
    if REASONS[code] == "required" and not detail:
        raise ValueError(f"reason {code!r} needs a detail after a colon")
    if REASONS[code] == "none" and colon:
        raise ValueError(f"reason {code!r} takes no detail")
    return reason

"""`caco replay ROW`: executes a row's program again, grades its answers again, and says whether anything differs."""

import argparse
import json

from caco_recipes.commands.why import run_folder
from caco_recipes.verdicts import ACCEPTED, UNDECIDED

# The reasons that executing and grading again can give.
REPLAYED = {
    "syntax_error", "exception", "timeout", "memory", "output_limit", "denied", "too_short", "no_input", "no_output",
    "unused_input", "too_large", "nondeterministic", "answer_mismatch",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco replay",
        description="Executes a row's program again under the recorded limits and grades its answers again.",
        epilog="Exit code: 0 everything holds; 1 something differs; 3 it could not be decided.",
    )
    parser.add_argument("row", help="a row's id, or the beginning of it")
    parser.add_argument("--run", help="run folder (default: the one under runs/, if there is one only)")
    options = parser.parse_args(arguments)
    from caco_recipes.grading import GRADER_VERSION, Grader
    from caco_recipes.identity import receipts
    from caco_recipes.replay import judge, row_of
    from caco_recipes.run_folder import RunError
    from caco_recipes.sandbox import ENGINE_VERSION, Limits, Pool
    from caco_recipes.why import find

    found = find(run_folder(options.run), options.row)[-1]
    then = receipts(found.row["lineage"])
    executed = next((receipt for receipt in reversed(then) if receipt.get("stage") == "execute"), None)
    if executed is None:
        raise RunError(f"row {found.row['id']} ended at {found.step.name}, before it was executed: nothing to replay")
    row = row_of(found.row, need_solution=False)
    graded = any(receipt.get("stage") == "verify" for receipt in then)
    rules = executed.get("rules")
    with Grader() as grader:
        with Pool(workers=1, limits=Limits(**row.limits), rules=rules if rules == "caco" else None) as pool:
            made = judge(row, pool.run_one(row.code), grader, executed_only=not graded)
            isolation = pool.isolation
    recorded = found.row["verdict"] + (f": {found.row['reason']}" if found.row["reason"] else "")
    now = made.verdict + (f": {made.reason}" if made.reason else "") + (f" ({made.rule})" if made.rule else "")
    print(f"{row.id} at {found.step.name}, {'executed and graded' if graded else 'executed'} again")
    print(f"  sandbox   then {executed.get('sandbox')} {executed.get('isolation')}, now {ENGINE_VERSION} {isolation}")
    print(f"  grader    now {GRADER_VERSION}")
    print(f"  limits    {json.dumps(row.limits)}")
    print(f"  recorded  {recorded}\n  replay    {now}")
    if made.verdict != ACCEPTED:
        print(f"  output    then {made.recorded[:200]!r}, now {made.now[:200]!r}")
    # What a replay does not do again (judges, duplicates, extraction from a cut-off text) it can't contradict.
    code = found.row["reason"].partition(":")[0]
    same = made.verdict == found.row["verdict"] or (made.verdict == ACCEPTED and code not in REPLAYED)
    if same and code and code not in REPLAYED:
        print(f"nothing differs in execution and answer; {code} is not part of a replay")
    else:
        print("nothing differs" if same else "the replay says otherwise than the record")
    return 3 if made.verdict == UNDECIDED else 0 if same else 1

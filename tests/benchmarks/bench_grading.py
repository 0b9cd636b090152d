"""Speed of grading on real pairs: ours against the reference's filter method and math-verify, one core, one run.

    python tests/benchmarks/bench_grading.py [--pairs N] [--shared FOLDER]

Prints pairs per second of CPU time and their ratios. The reference method is re-implemented here from its description: raw texts go
to string, float (relative 1e-4, ± 100 ×), bracket-blind list and equation rules and then to sympy (LaTeX reader, Python reader,
latex2sympy; `equals`, `simplify`, numeric). It evaluates text, so it runs in a child process and only in this script. A pair that takes it
longer than 3 s counts as 3 s, which is how the reference cuts it off. Warm-up and imports are not timed for anyone.
"""

import argparse
import json
import logging
import multiprocessing
import os
import random
import re
import signal
import sys
import time
from math import isclose
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
LIMIT = 3.0


class TooLong(Exception):
    pass


def _alarm(*_):
    raise TooLong


# -- the reference's method -------------------------------------------------------------------------------------------
def reference_equal(pred: str, gold: str) -> bool:
    if pred == gold:
        return True
    a, b = _digits(pred), _digits(gold)
    if a is not None and b is not None:
        if any(isclose(item, a, rel_tol=1e-4) for item in (b / 100, b, b * 100)):
            return True
        return False
    left, right = pred, gold
    if (left[:1] == "[" and left[-1:] == "]" and right[:1] != "(") or (
        left[:1] == "(" and left[-1:] == ")" and right[:1] != "["
    ):
        left, right = left.strip("[]()"), right.strip("[]()")
    for bracket in "{}()":
        left, right = left.replace(bracket, ""), right.replace(bracket, "")
    if left.lower() == right.lower():
        return True
    if re.match(r"(\(|\[).+(\)|\])", pred) and re.match(r"(\(|\[).+(\)|\])", gold):
        p, q = pred[1:-1].split(","), gold[1:-1].split(",")
        if len(p) == len(q) and all(reference_equal(x, y) for x, y in zip(p, q, strict=True)):
            return True
    if pred.count("=") == 1 and gold.count("=") == 1:
        x, y = (f"{s.split('=')[0].strip()} - ({s.split('=')[1].strip()})" for s in (pred, gold))
        if _symbolic(x, y) or _symbolic(f"-({x})", y):
            return True
    elif pred.count("=") == 1 and len(pred.split("=")[0].strip()) <= 2 and "=" not in gold:
        return reference_equal(pred.split("=")[1], gold)
    elif gold.count("=") == 1 and len(gold.split("=")[0].strip()) <= 2 and "=" not in pred:
        return reference_equal(pred, gold.split("=")[1])
    return _symbolic(pred, gold)


def _digits(text: str):
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _readers():
    from latex2sympy2_extended import latex2sympy
    from sympy.parsing.sympy_parser import parse_expr

    # sympy's own LaTeX reader needs another antlr than latex2sympy2_extended; both are antlr grammars of the same family and cost.
    return latex2sympy, parse_expr


def _parse(text: str):
    for reader in _readers():
        for candidate in (text.replace("\\\\", "\\"), text):
            try:
                return reader(candidate)
            except TooLong:
                raise
            except Exception:
                continue
    return text


def _symbolic(pred: str, gold: str) -> bool:
    from sympy import N, simplify

    a, b = _parse(pred), _parse(gold)
    try:
        if str(a) == str(b) or a == b:
            return True
    except TooLong:
        raise
    except Exception:
        pass
    for test in (
        lambda: a.equals(b) or simplify(a - b) == 0,
        lambda: abs(a.lhs - a.rhs).equals(abs(b.lhs - b.rhs)),
        lambda: isclose(float(N(a)), float(N(b)), rel_tol=1e-4),
    ):
        try:
            if test():
                return True
        except TooLong:
            raise
        except Exception:
            pass
    return False


def math_verify_equal(pred: str, gold: str) -> bool:
    from math_verify import parse, verify

    return bool(
        verify(
            parse(f"${gold}$", parsing_timeout=None), parse(f"${pred}$", parsing_timeout=None), timeout_seconds=None
        )
    )


def _baseline(name: str, pairs: list, pipe) -> None:
    """CPU seconds of one baseline over all pairs, in a child of its own."""
    equal = {"reference": reference_equal, "math-verify": math_verify_equal}[name]
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGALRM, _alarm)
    equal("x^2+1", "x^2+2")
    accepted = cut = 0
    start = time.process_time()
    for pred, gold in pairs:
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            accepted += equal(pred, gold)
        except TooLong:
            cut += 1
        except Exception:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    pipe.send((time.process_time() - start, accepted, cut))


def baseline(name: str, pairs: list) -> tuple[float, int, int]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_baseline, args=(name, pairs, there))
    process.start()
    result = here.recv()
    process.join()
    return result


def _cpu_of(grader) -> float:
    """CPU seconds that the grader's worker processes have used."""
    ticks = 0
    for worker in grader._all:
        if worker.process is not None:
            fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _cold() -> None:
    """Empties our caches: each pass pays for its own parsing."""
    from caco_recipes.grading import normalise, numbers, parser, words

    for cached in (normalise.clean, numbers.plain_number, parser.parse, words.plain_words, words.word_key):
        cached.cache_clear()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=6022)
    options.add_argument(
        "--shared", default=os.environ.get("CACO_SHARED", str(Path(__file__).resolve().parents[3] / "shared"))
    )
    arguments = options.parse_args()
    from caco_recipes.grading import Grader
    from caco_recipes.grading.grade import fast, needs_slow

    with open(Path(arguments.shared) / "data/grading/real_stream.jsonl", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = [(row["pred"], row["gold"]) for row in rows]
    if arguments.pairs < len(pairs):
        pairs = random.Random(0).sample(pairs, arguments.pairs)

    fast("1", "x^2")
    _cold()
    slowest = 0.0
    start = time.process_time()
    verdicts = [fast(gold, pred) for pred, gold in pairs]
    fast_seconds = time.process_time() - start
    decided = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if not needs_slow(verdict)]
    _cold()
    with Grader(workers=1) as grader:
        grader.warm()
        before, worker_before = time.process_time(), _cpu_of(grader)
        ours = []
        for pred, gold in pairs:
            one = time.perf_counter()
            ours.append(grader.grade(gold, pred))
            slowest = max(slowest, time.perf_counter() - one)
        whole_seconds = time.process_time() - before + _cpu_of(grader) - worker_before
    count = len(pairs)
    print(
        f"{count} real pairs, {sum(p == g for p, g in pairs) / count:.0%} identical; {len(decided)} decided by the fast tiers"
    )
    results = {name: baseline(name, pairs) for name in ("reference", "math-verify")}
    reference_decided = baseline("reference", decided)[0]
    print(f"{'':34}{'seconds':>9}{'pairs/s':>10}{'× reference':>13}{'accepted':>10}")
    reference = results["reference"][0]

    def line(name: str, seconds: float, number: int, accepted, against: float = reference) -> None:
        print(f"{name:34}{seconds:9.3f}{number / seconds:10.0f}{against / seconds:13.1f}{accepted:>10}")

    for name, (seconds, accepted, cut) in results.items():
        line(f"{name} ({cut} cut at {LIMIT:.0f} s)", seconds, count, accepted)
    accepted = sum(v.accepted for v in ours)
    line("ours, end to end", whole_seconds, count, accepted)
    line("ours, fast tiers, all pairs", fast_seconds, count, sum(v.accepted for v in verdicts))
    line("ours, pairs that they decide", fast_seconds, len(decided), "", reference_decided)
    print(f"slowest pair {slowest:.3f} s; undecided {sum(v.verdict == 'undecided' for v in ours)}")


if __name__ == "__main__":
    main()

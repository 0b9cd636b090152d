"""The sandbox against the reference's way of executing programs, in one run.

    python tests/benchmarks/bench_sandbox.py [--only plain,sympy,…] [--rounds 2] [--isolation strict]

The baseline re-implements the reference's method: per program one `multiprocessing.Manager`, one `Process`, `exec` under
`redirect_stdout`, a wall limit of 5 s; two pool workers; no isolation. Both sides run the same programs with two workers;
rounds alternate and each side's best round counts, as on a shared machine a slow round says nothing. CPU is that of the
whole process tree. `floor` is what no sandbox can beat: the same programs by `exec`, one after the other in two processes
that have everything imported and the warm-up corpus behind them, with no isolation and no process per program. Data: the shared workload and the real programs beside it ($CACO_SHARED).
"""

import argparse
import contextlib
import gc
import importlib
import io
import json
import multiprocessing
import os
import re
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from caco_recipes.sandbox import Limits, Pool
from caco_recipes.sandbox.warmup import WARM_MODULES, WARM_UP

SHARED = Path(os.environ.get("CACO_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def _execute(code: str, results) -> None:
    buffer = io.StringIO()
    names: dict = {}
    try:
        with contextlib.redirect_stdout(buffer):
            exec(code, names)
        results["output"] = names.get("output", buffer.getvalue())
        results["input"] = names.get("input")
        results["error"] = None
    except Exception as error:
        results["error"] = f"{type(error).__name__}: {error}"


def reference_one(code: str) -> str:
    """One program the reference's way; returns "ok", "timeout" or the error."""
    sys.set_int_max_str_digits(1_000_000)
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        process = multiprocessing.Process(target=_execute, args=(code, results))
        process.start()
        process.join(5)
        if process.is_alive():
            process.terminate()
            process.join()
            return "timeout"
        try:
            found = dict(results)
        except Exception as error:
            return f"lost: {error}"
    return "ok" if found.get("error") is None else found["error"]


def reference(codes: list[str]) -> int:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        return sum(outcome == "ok" for outcome in pool.map(reference_one, codes, chunksize=1))


def ours(pool: Pool, codes: list[str]) -> int:
    return sum(result.ok for _, result in pool.run_unordered(codes))


def floor(kind: str, codes: list[str]) -> tuple[float, float, int]:
    """(wall seconds, CPU seconds, ok) of the programs in two warm processes; the warm-up is not counted."""
    readers = []
    for half in (codes[::2], codes[1::2]):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, json.dumps(_warm(kind, half)).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    found = []
    for reader in readers:
        found.append(json.loads(os.read(reader, 4096)))
        os.close(reader)
        os.wait()
    return max(wall for wall, *_ in found), sum(cpu for _, cpu, _ in found), sum(ok for *_, ok in found)


def _warm(kind: str, codes: list[str]) -> tuple[float, float, int]:
    for name in WARM_MODULES[kind]:
        importlib.import_module(name)
    for text in WARM_UP[kind]:
        _exec(text)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    started, before = time.perf_counter(), time.process_time()
    ok = sum(_exec(code) for code in codes)
    return time.perf_counter() - started, time.process_time() - before, ok


def _exec(code: str) -> bool:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"__name__": "__main__"})
        return True
    except BaseException:
        return False


def measured(function, *arguments) -> tuple[float, float, int]:
    """(wall seconds, CPU seconds of this process and its finished children, result)."""
    before, started = cpu_time(), time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - started, cpu_time() - before, value


def cpu_time() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(u.ru_utime + u.ru_stime for u in usage)
    return total + live_children_cpu()


def live_children_cpu() -> float:
    """CPU of fork servers that still run, with what they have reaped."""
    ticks, total, waiting = os.sysconf("SC_CLK_TCK"), 0.0, [os.getpid()]
    while waiting:
        parent = waiting.pop()
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            for thread in os.listdir(f"/proc/{parent}/task"):
                if thread != str(parent):
                    children += Path(f"/proc/{parent}/task/{thread}/children").read_text().split()
        except OSError:
            continue
        for child in children:
            try:
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(int(field) for field in fields[11:15]) / ticks
            waiting.append(child)
    return total


def workloads() -> dict[str, list[str]]:
    rows = [json.loads(line) for line in open(SHARED / "data/workload/code_cots.jsonl", encoding="utf-8")]
    good = [row for row in rows if row["family"] != "nasty"]
    families = {
        "plain": [r["code"] for r in good if r["family"] not in ("sympy", "numpy")][:600],
        "sympy": [r["code"] for r in good if r["family"] == "sympy"][:200],
        "numpy": [r["code"] for r in good if r["family"] == "numpy"],
        "good": [row["code"] for row in good],
        "full": [row["code"] for row in rows],
    }
    outcomes = SHARED / "data/seeds/programs_math_exec.jsonl"
    finished = {}
    for line in open(outcomes, encoding="utf-8"):
        row = json.loads(line)
        finished[row["id"]] = row
    real = []
    for line in open(SHARED / "data/seeds/programs_math.jsonl", encoding="utf-8"):
        row = json.loads(line)
        if finished.get(row["id"], {}).get("status") == "ok":
            real.append(row["program"])
    families["real"] = real[:: max(1, len(real) // 500)][:500]
    return families


BARS = {"plain": 7, "sympy": 5, "numpy": 6, "good": 6, "full": 6.5, "share": 12, "variants": 30}


def line(name: str, count: int, base: tuple, own: tuple, note: str = "") -> None:
    ratio = base[0] / own[0]
    bar = BARS.get(name.split(",")[0].split()[0]) if "unbarred" not in note else None
    told = f"bar {bar}x {'met' if ratio >= bar else 'MISSED'}" if bar else ""
    print(
        f"{name:14} {count / base[0]:8.1f}/s {1000 * base[1] / count:7.1f} ms CPU | {count / own[0]:8.1f}/s "
        f"{1000 * own[1] / count:7.2f} ms CPU | {ratio:5.2f}x wall {base[1] / own[1]:5.2f}x CPU  {told} {note}",
        flush=True,
    )


def mutated(written: str, count: int) -> list[str]:
    """`count` inputs like `written`, their numbers a little larger."""
    return [re.sub(r"(?<![\w.])\d+(?![\w.])", lambda m, i=i: str(int(m[0]) + i % 5), written) for i in range(count)]


def run_variants(pool: Pool, work: list) -> int:
    """Every program on all its inputs, two programs at a time."""
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda pair: sum(r.ok for r in pool.run_variants(*pair)), work)
        return sum(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="plain,sympy,numpy,good,real,share,variants,isolation,full")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--isolation", default="strict")
    parser.add_argument("--no-reference", action="store_true", help="own side alone, for profiling")
    chosen = parser.parse_args()
    sets, wanted = workloads(), chosen.only.split(",")
    print(
        f"isolation {chosen.isolation}, 2 workers, load {os.getloadavg()[0]:.1f}; reference | this | ratio", flush=True
    )
    lone = Limits(slow_cpu_seconds=None)
    bases: dict[str, tuple] = {}

    def compare(name: str, codes: list[str], rounds: int, **options) -> None:
        with Pool(2, isolation=chosen.isolation, limits=lone, **options) as pool:
            ours(pool, codes[:: max(1, len(codes) // 40)])  # servers up, both sides' page cache warm
            base, own = [], []
            for _ in range(rounds):
                if not chosen.no_reference:
                    base.append(measured(reference, codes))
                own.append(measured(ours, pool, codes))
        best = min(own)
        bases[name] = min(base) if base else best
        kept = f"kept {best[2]}/{len(codes)}, reference {bases[name][2]}"
        line(name, len(codes), bases[name], best, kept)
        if name not in ("full", "real"):  # those hold programs that would not end, or end the process
            kind = name if name in ("plain", "sympy", "numpy") else "both"
            line(f"  floor, {name}", len(codes), bases[name], floor(kind, codes), "warm, no isolation; unbarred")

    for name in ("plain", "sympy", "numpy", "good", "real"):
        if name in wanted:
            compare(name, sets[name], chosen.rounds)
    if "share" in wanted:
        with Pool(2, isolation=chosen.isolation, limits=lone, share=20) as pool:
            ours(pool, sets["good"][:80])
            own = min(measured(ours, pool, sets["good"]) for _ in range(chosen.rounds))
        base = bases.get("good") or measured(reference, sets["good"][:400])
        scale = 1.0 if "good" in bases else len(sets["good"]) / 400
        base = (base[0] * scale, base[1] * scale, base[2])
        line("share 20 good", len(sets["good"]), base, own, f"kept {own[2]}")
    if "variants" in wanted:
        # of the plain programs that with the median CPU time, and (unbarred) a sample of them all
        with Pool(2, isolation=chosen.isolation, limits=lone) as pool:
            results = list(pool.run(sets["plain"]))
            by_time = sorted(range(len(results)), key=lambda i: results[i].cpu_seconds)
            picked = {"variants": [by_time[len(by_time) // 2]], "variants, 30": by_time[10::20]}
            for name, places in picked.items():
                count = 4000 // len(places)
                work = [(sets["plain"][i], mutated(results[i].input, count)) for i in places]
                own = min(measured(run_variants, pool, work) for _ in range(chosen.rounds))
                sample = [code for code, _ in work] * (100 // len(work))
                base = (1.0, 1.0, 0) if chosen.no_reference else measured(reference, sample)
                scale = count * len(work) / len(sample)
                note = f"own {own[2]}/{count * len(work)} ok{', unbarred' if ',' in name else ''}"
                line(name, count * len(work), (base[0] * scale, base[1] * scale, 0), own, note)
    if "isolation" in wanted:
        # the same server and fork with and without confinement; wall time of one program after the other
        with (
            Pool(1, isolation=chosen.isolation, limits=lone) as pool,
            Pool(1, isolation="unsafe", limits=lone) as bare,
        ):
            spent = {}
            for one in (pool, bare):
                ours(one, ["x = 1"] * 50)
            for _ in range(3 * chosen.rounds):
                for one in (pool, bare):
                    spent.setdefault(one, []).append(measured(ours, one, ["x = 1"] * 500))
        confined, free = (min(cpu for _, cpu, _ in spent[one]) * 2 for one in (pool, bare))
        told = "met" if confined - free <= 0.5 else "MISSED"
        print(
            f"isolation: {confined:.2f} ms CPU per program, {free:.2f} without, adds {confined - free:.2f} (bar 0.5 {told})"
        )
    if "full" in wanted:
        compare("full", sets["full"], 1)
        with Pool(2, isolation=chosen.isolation) as pool:
            started = time.perf_counter()
            next(iter(pool.run(sets["plain"][:50])))
            print(f"first result of a new pool after {time.perf_counter() - started:.2f} s")
            own = measured(ours, pool, sets["full"])
        line("with slow lane", len(sets["full"]), bases["full"], own, "(unbarred)")


if __name__ == "__main__":
    main()

"""What publishing and the report cost, and how fluid the page's row browser is.

    python tests/benchmarks/bench_report.py [ROWS]

Prints rows per second of publishing and reporting over the time that merely reading the run's Parquet takes (the stated
baseline), the page's size, and in headless Chromium the time per search keystroke and per scrolled screen.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from browser import chromium
from made_runs import make_run

from caco_recipes.funnel import read_run
from caco_recipes.publish import Config, assemble, rows_of
from caco_recipes.report import write_report

KEYSTROKES = """
const done = arguments[arguments.length - 1];
(async () => {
  const box = document.getElementById("search"), list = document.getElementById("list"), times = [];
  for (const text of ["a", "ap", "app", "appl", "apple", "apples", "apples box", "zzz", ""]) {
    const start = performance.now();
    state.query = text; filter();
    list.getBoundingClientRect();
    times.push(performance.now() - start);
  }
  const frames = [];
  for (let i = 0; i < 100; i++) {
    const start = performance.now();
    list.scrollTop = (list.scrollHeight - list.clientHeight) * i / 99;
    paint(); list.getBoundingClientRect();
    frames.push(performance.now() - start);
  }
  done([Math.max(...times), times.reduce((a, b) => a + b) / times.length, Math.max(...frames), frames.reduce((a, b) => a + b) / frames.length]);
})();
"""


def seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", rows, shard_rows=2000)
        steps = read_run(run)
        baseline = seconds(
            lambda: [sum(1 for _ in rows_of(step, kind)) for step in steps for kind in ("", "rejected")]
        )
        publishing = seconds(lambda: assemble(steps, ["verify"], run / "publish" / "dataset", Config(), name="bench"))
        reporting = seconds(lambda: write_report(run))
        print(f"rows of the run            {rows:>10,}")
        print(f"reading its Parquet        {baseline:>10.2f} s   (baseline)")
        print(
            f"publishing                 {publishing:>10.2f} s   {publishing / baseline:.1f} x, {rows / publishing:,.0f} rows/s"
        )
        print(
            f"report                     {reporting:>10.2f} s   {reporting / baseline:.1f} x, {rows / reporting:,.0f} rows/s"
        )
        print(f"page                       {(run / 'report.html').stat().st_size / 1e6:>10.1f} MB")
        with chromium(Path(folder) / "profile") as driver:
            driver.set_script_timeout(60)
            loading = seconds(lambda: driver.get(f"file://{run / 'report.html'}"))
            worst, mean, worst_frame, mean_frame = driver.execute_async_script(KEYSTROKES)
        print(f"page loads and draws in    {loading:>10.2f} s")
        print(f"a search keystroke         {mean:>10.1f} ms  (worst {worst:.1f})")
        print(f"a scrolled screen          {mean_frame:>10.1f} ms  (worst {worst_frame:.1f}; 16.7 is a frame)")


if __name__ == "__main__":
    main()

"""The store at size: writes and look-ups per second on one core, memory and start, against the bars of docs/engines.md.

    python tests/benchmarks/bench_store.py [--records 10000000] [--folder DIR]

Answers have about 1,300 characters of text that compresses as prose does. The first `--written` records are put one by
one and timed; the rest, up to `--records`, are packed the same way but appended in large blocks, because only their
number matters for what is measured afterwards.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import tempfile
import time
from pathlib import Path

from caco_recipes.generation import Completion, segment
from caco_recipes.generation.store import Store, encode

WORDS = (
    "let the number of ways be n then we find that sum over all k is equal to x squared plus y times z hence answer "
    "program def return for in range print import math solve integer modulo prime factor triangle angle area"
).split()


def key(number: int) -> str:
    return hashlib.sha256(number.to_bytes(8, "big")).hexdigest()


def answers(count: int) -> list[Completion]:
    draw = random.Random(0)
    texts = [
        " ".join(f"{draw.choice(WORDS)}{draw.choice(['', '', draw.randrange(100)])}" for _ in range(240))
        for _ in range(count)
    ]
    return [Completion(text, "stop", 200, 300) for text in texts]


def report(what: str, value: float, bar: float, unit: str, most: bool = False) -> None:
    ratio = bar / value if most else value / bar
    print(
        f"{what:<42} {value:>12,.1f} {unit:<10} bar {bar:>10,.0f}   {ratio:5.2f} x the bar {'ok' if ratio >= 1 else 'MISSED'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--written", type=int, default=200_000)
    parser.add_argument("--lookups", type=int, default=200_000)
    parser.add_argument("--folder", help="where to make the store (default: a temporary folder)")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, threads of libraries included
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="bench_store-"))
    samples = answers(500)
    print(
        f"{options.records:,} records, {sum(len(s.text) for s in samples) // len(samples)} characters each, on one core"
    )
    try:
        bulk(folder, samples, options.written, options.records)
        started = time.perf_counter()
        Store(folder).close()
        print(f"first start, reading every header            {time.perf_counter() - started:10.1f} s")
        started = time.perf_counter()
        store = Store(folder)
        report("start with tables", time.perf_counter() - started, 3, "s", most=True)
        keys = [key(number) for number in range(options.written)]
        started, processor = time.perf_counter(), time.process_time()
        for number, name in enumerate(keys):
            store.put(
                name, samples[number % len(samples)], stage="solve", model="sha256:0123456789abcdef0123456789abcdef"
            )
        wall, processor = time.perf_counter() - started, time.process_time() - processor
        report("writes", options.written / wall, 20_000, "per second")
        # What is left when other processes share the core.
        report("writes, per second of processor time", options.written / processor, 20_000, "per second")
        draw = random.Random(1)
        present = [key(draw.randrange(options.records)) for _ in range(options.lookups)]
        absent = [key(options.records + number) for number in range(options.lookups)]
        for what, names in (("look-ups (key known?), present", present), ("look-ups (key known?), absent", absent)):
            started = time.perf_counter()
            found = sum(name in store for name in names)
            report(what, len(names) / (time.perf_counter() - started), 50_000, "per second")
            assert found == (len(names) if names is present else 0)
        recent = keys[: options.lookups]
        for what, names in (
            ("answers read back, records just written", recent),
            ("answers read back, at random", present),
        ):
            started = time.perf_counter()
            assert all(store.get(name) is not None for name in names)
            print(f"{what:<42} {len(names) / (time.perf_counter() - started):>12,.1f} per second")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        report("memory of the whole process, at most", memory, 2048, "MB", most=True)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"on disk {size / 1e9:.2f} GB, {size / len(store):.0f} bytes per record; damage {len(store.damage)}")
        store.close()
    finally:
        shutil.rmtree(folder)


def bulk(folder: Path, samples: list[Completion], start: int, stop: int) -> None:
    """Segments as a finished run leaves them."""
    payloads = [
        encode(sample, "solve", "sha256:0123456789abcdef0123456789abcdef", 1_700_000_000) for sample in samples
    ]
    for part, first in enumerate(range(start, stop, 1_000_000)):
        with open(folder / f"{part:014d}-bench-1-0.seg", "wb", buffering=8 << 20) as out:
            out.write(segment.MAGIC)
            for number in range(first, min(stop, first + 1_000_000)):
                out.write(segment.pack(bytes.fromhex(key(number)), payloads[number % len(payloads)]))


if __name__ == "__main__":
    main()

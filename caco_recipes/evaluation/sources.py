"""Where a recipe's benchmarks come from: a file that it names, a folder of files under their usual names, or the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING

from caco_recipes.evaluation import loading
from caco_recipes.evaluation.benchmarks import Benchmark, benchmark_named
from caco_recipes.evaluation.loading import BenchmarkError, Problems

if TYPE_CHECKING:
    from caco_recipes.evaluate import Config


def load_benchmarks(config: "Config") -> dict[str, Problems]:
    """The problems of every benchmark of a recipe, checked. Raises `BenchmarkError`."""
    for name in config.benchmarks:  # what can't work at all is said before anything is downloaded
        benchmark = benchmark_named(name)
        if benchmark.hub is None and local_path(config, benchmark) is None:
            raise BenchmarkError(loading.no_hub_copy(benchmark))
    loaded = {}
    for name in config.benchmarks:
        benchmark = benchmark_named(name)
        loaded[name] = loading.load(
            benchmark,
            path=local_path(config, benchmark),
            expected=config.expected.get(name),
            revision=config.revisions.get(name),
            limit=config.limit,
        )
    return loaded


def local_path(config: "Config", benchmark: Benchmark) -> Path | None:
    """The file that a recipe gives for a benchmark, or the one of its usual name in `data_dir`; `None` means the Hub."""
    if benchmark.name in config.data:
        return Path(config.data[benchmark.name])
    if config.data_dir:
        if not Path(config.data_dir).is_dir():
            raise BenchmarkError(f"data_dir: {config.data_dir} is no folder")
        file = Path(config.data_dir) / benchmark.local_file
        if benchmark.local_file and file.exists():
            return file
    return None

"""The `caco` command: a table of commands, each in a module of its own that is imported when it is called.

Exit codes: 0 done; 1 the run failed (what was finished stays); 2 the call or the recipe is wrong; 3 stopped at its budget;
130 interrupted.
"""

import importlib
import os
import sys
from errno import EDQUOT, ENOSPC, EROFS

COMMANDS = {
    "run": ("caco_recipes.commands.run", "run a recipe: all of its steps or some, resumed where it was stopped"),
    "plan": (
        "caco_recipes.commands.plan",
        "what a recipe will take: a pilot and a forecast, or a training's memory and hours",
    ),
    "status": ("caco_recipes.commands.status", "the funnel of a run, finished or not"),
    "execute": ("caco_recipes.commands.execute", "execute programs (JSON Lines in, JSON Lines out) in the sandbox"),
    "grade": ("caco_recipes.commands.grade", "compare answers (JSON Lines in, JSON Lines out), or audit the grader"),
    "evaluate": ("caco_recipes.evaluate", "models on benchmarks: the paper's protocol and a strict one beside it"),
    "index": ("caco_recipes.commands.index", "hashes of a benchmark or of a training set, for decontamination"),
    "why": ("caco_recipes.commands.why", "a row's story, from its seed to its last verdict"),
    "replay": ("caco_recipes.commands.replay", "execute and grade a row again: does anything differ?"),
    "audit": ("caco_recipes.commands.audit", "replay a dataset, ours or in the released layout; how much holds"),
    "calibrate": ("caco_recipes.commands.calibrate", "how often a judge is wrong, on right rows and near misses"),
    "import": ("caco_recipes.commands.import_rows", "rows of the reference or of the released Caco-1.3M, as a run's"),
    "control": (
        "caco_recipes.commands.control",
        "did verification help? arms of one size, trained and evaluated, compared",
    ),
    "report": ("caco_recipes.commands.report", "a run as one self-contained page, and as Markdown"),
    "push": ("caco_recipes.commands.push", "a dataset or a model to the Hub"),
    "store": ("caco_recipes.commands.store", "a run's request store: show, verify, export, prune"),
    "slurm": ("caco_recipes.commands.slurm", "a job script that runs a recipe on Ray on the nodes of a Slurm job"),
    "doctor": ("caco_recipes.commands.doctor", "what this machine has, what is missing and how to get it"),
}


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: caco COMMAND [options]     (caco COMMAND --help for a command's own)",
            "",
            "Verifiable reasoning data from executable Code CoTs, and the models trained on it.",
            "",
            *lines,
            "",
            "Training: accelerate launch --config_file accelerate_configs/cpu.yaml -m caco_recipes.sft --config RECIPE",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; `arguments` defaults to the command line. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from caco_recipes import __version__

        print(f"caco {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        from caco_recipes.recipe import nearest

        print(f"caco: no command {name!r}; {nearest(name, COMMANDS)}", file=sys.stderr)
        return 2
    return _guarded(COMMANDS[name][0], rest)


def _guarded(module: str, arguments: list[str]) -> int:
    """Runs a command and turns the faults that a user can mend into one clear line."""
    from caco_recipes.recipe import RecipeError

    # Before torch is loaded: threads that wait for each other sleep instead of spinning, which on a busy machine is
    # several times faster.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module(module).main(arguments) or 0
    except RecipeError as error:
        print(f"caco: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ncaco: interrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output (head, less) has gone
        return 1
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            where = error.filename or "the disk"
            print(
                f"caco: no space left ({where}). What was finished is kept; free some and repeat the command.",
                file=sys.stderr,
            )
            return 1
        if error.errno == EROFS or isinstance(error, PermissionError):
            print(f"caco: can't write: {error}", file=sys.stderr)
            return 1
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | ConnectionError):
            print(f"caco: {error}", file=sys.stderr)
            return 1
        raise
    except Exception as error:
        # RunError and EngineError carry messages meant for people; anything else is a fault of ours: show where.
        if type(error).__name__ in ("RunError", "EngineError", "StoreError", "BenchmarkError", "HubError"):
            print(f"caco: {error}", file=sys.stderr)
            return 1
        raise


if __name__ == "__main__":
    sys.exit(main())

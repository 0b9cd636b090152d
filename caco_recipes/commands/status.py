"""`caco status RUN`: a run's funnel, and what it is doing: from its folder, also from another terminal while it runs."""

import argparse
import json
import sys
import time
from pathlib import Path

from caco_recipes.recipe import RecipeError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco status",
        description="Prints a run's funnel (rows, reasons, tokens, seconds) and what it is doing: alive or not, the step, "
        "rates, time left.",
    )
    parser.add_argument("run", help="run folder, such as runs/quickstart")
    parser.add_argument("--watch", action="store_true", help="again every --every seconds until the run ends")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between looks (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON object per look, for programs")
    options = parser.parse_args(arguments)
    if not Path(options.run).is_dir():
        raise RecipeError(f"{options.run}: no such run folder")
    if options.every <= 0:
        raise RecipeError("--every: give a number of seconds above 0")
    from caco_recipes.run_state import RUNNING, read_state, state_text

    terminal = sys.stdout.isatty()
    while True:
        state = read_state(options.run)
        if options.json:
            print(json.dumps(state.as_json()), flush=True)
        else:
            # The screen is written over, not cleared: clearing flickers.
            text = state_text(options.run)
            if options.watch and terminal:
                text = "\x1b[H" + "".join(f"{line}\x1b[K\n" for line in text.splitlines()) + "\x1b[J"
            print(text, end="", flush=True)
        if not options.watch or state.state != RUNNING:
            return 0
        time.sleep(options.every)

"""`caco report RUN`: one self-contained HTML page and the same as Markdown, from a run's folder."""

import argparse

BROWSER_ROWS = 5000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco report", description=__doc__)
    parser.add_argument("run", help="run folder, such as runs/quickstart")
    parser.add_argument("--rows", type=int, default=BROWSER_ROWS, help="rows in the page's browser (default 5000)")
    parser.add_argument("--embedder", default="", help="embedding model for the map of problems (default: by words)")
    options = parser.parse_args(arguments)
    from caco_recipes.report import write_report

    for path in write_report(options.run, browser_rows=options.rows, embedder=options.embedder):
        print(path)
    return 0

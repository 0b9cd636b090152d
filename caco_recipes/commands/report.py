"""`caco report RUN`: one self-contained page and the same figures as Markdown, into the run's folder."""

import argparse


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco report", description="Writes report.html (self-contained, no network) and report.md into a run's folder."
    )
    parser.add_argument("run", help="run folder, such as runs/quickstart")
    parser.add_argument("--rows", type=int, default=5000, help="rows of the page's row browser (default: 5000)")
    options = parser.parse_args(arguments)
    from caco_recipes.report import write_report

    page, text = write_report(options.run, options.rows)
    print(f"report: {page}\nas text: {text}")
    return 0

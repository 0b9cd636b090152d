"""`page.html`: one self-contained page, no network: tables, plots, and a browser of the items that were not plainly right.

The plots are SVG made here; the browser is a few lines of script over JSON in the page. Every text of a model or a data set is
escaped or set as text, never as markup: a response can't do anything to whoever reads it.
"""

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from caco_recipes.evaluation.item_log import write_text
from caco_recipes.evaluation.protocols import PAPER, PROTOCOLS, STRICT
from caco_recipes.evaluation.published import published
from caco_recipes.evaluation.results import Evaluation, ModelResult
from caco_recipes.evaluation.scores import GradedItem
from caco_recipes.evaluation.tables import decoding_text, p_text, per_cent, signed, with_interval

# The page stays quick to open: so many items of each model and benchmark, and so much of a text (its end matters most).
MAX_ITEMS = 400
MAX_TEXT = 6000


def write_page(evaluation: Evaluation, graded: dict[str, dict[str, list[GradedItem]]], path: Path) -> None:
    """Writes the page. `graded` is label -> benchmark -> items."""
    page = Template(files("caco_recipes").joinpath("cards", "evaluation.html").read_text(encoding="utf-8"))
    text = page.substitute(
        title=html.escape(evaluation.name),
        summary=_summary(evaluation),
        tables=_tables(evaluation),
        plots="\n".join([_accuracy_plot(evaluation), *_length_plots(graded)]),
        data=_json_for_script(browser_rows(graded)),
        shown=_shown_note(graded),
    )
    write_text(path, text)


def browser_rows(graded: dict[str, dict[str, list[GradedItem]]]) -> list[dict[str, Any]]:
    """The items of the browser: wrong, undecided or judged differently by the two protocols, per response."""
    rows = []
    for label, by_benchmark in graded.items():
        for name, items in by_benchmark.items():
            for item, response, judgements in _interesting(items)[:MAX_ITEMS]:
                rows.append(
                    {
                        "model": label,
                        "benchmark": name,
                        "id": item.problem.id,
                        "sample": response.sample_index,
                        "problem": _shortened(item.problem.problem),
                        "gold": item.problem.answer,
                        "response": _shortened(response.text),
                        "finish": response.finish_reason,
                        "contaminated": item.contaminated,
                        "judgements": {
                            p: {
                                "extracted": _shortened(j.extracted or ""),
                                "by": j.extraction,
                                "verdict": j.verdict,
                                "reason": j.reason,
                                "rule": j.rule,
                            }
                            for p, j in judgements.items()
                        },
                    }
                )
    return rows


def _interesting(items: Sequence[GradedItem]) -> list[tuple[GradedItem, Any, Any]]:
    found = [
        (item, response, judgements)
        for item in items
        for response, judgements in zip(item.responses, item.judgements)
        if not all(judgement.right for judgement in judgements.values())
    ]
    # What people look for first: disagreements, then what could not be told, then the rest; order kept within each.
    return sorted(found, key=lambda row: (row[2][PAPER].right == row[2][STRICT].right, not row[0].undecided))


def _shown_note(graded: dict[str, dict[str, list[GradedItem]]]) -> str:
    counts = [len(_interesting(items)) for by_name in graded.values() for items in by_name.values()]
    total, shown = sum(counts), sum(min(count, MAX_ITEMS) for count in counts)
    if total == shown:
        return f"{total} responses that a protocol did not accept."
    return f"{shown} of {total} responses that a protocol did not accept; all of them are in the items files."


def _shortened(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    head = MAX_TEXT // 4
    return f"{text[:head]}\n[… {len(text) - MAX_TEXT} characters left out …]\n{text[-(MAX_TEXT - head) :]}"


def _json_for_script(value: Any) -> str:
    """JSON that can stand in a script element: no `<` in it, so that no text closes the element."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")


def _summary(evaluation: Evaluation) -> str:
    facts = [
        ("models", ", ".join(f"{model.label}: {model.model}" for model in evaluation.models)),
        ("decoding", decoding_text(evaluation.decoding)),
        ("prompt frame", str(evaluation.config.get("frame", ""))),
        (
            "items",
            ", ".join(f"{p.benchmark.title} {len(p)} of {p.benchmark.problems}" for p in evaluation.problems.values()),
        ),
    ]
    return "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts)


def _tables(evaluation: Evaluation) -> str:
    parts = []
    for model in evaluation.models:
        rows = []
        for name, score in model.scores.items():
            figure = published(model.paper_row, name) if model.paper_row else None
            strict = score.protocols[STRICT]
            rows.append(
                [
                    evaluation.problems[name].benchmark.title,
                    str(strict.items),
                    with_interval(score.protocols[PAPER].accuracy),
                    *(["–" if figure is None else f"{figure:.1f}"] if model.paper_row else []),
                    with_interval(strict.accuracy),
                    str(len(score.differing_items)),
                    str(strict.undecided),
                    f"{per_cent(score.truncated)} %",
                ]
            )
        header = ["benchmark", "items", PAPER, *(["paper"] if model.paper_row else []), STRICT]
        header += ["differ", "undecided", "cut off"]
        parts.append(f"<h3>{html.escape(model.label)}</h3>" + _html_table(header, rows))
    for label, by_benchmark in evaluation.comparisons.items():
        rows = [
            [
                evaluation.problems[name].benchmark.title,
                protocol,
                signed(c),
                f"{c.only_first} / {c.only_second}",
                p_text(c),
            ]
            for name, by_protocol in by_benchmark.items()
            for protocol, c in by_protocol.items()
        ]
        title = f"{evaluation.models[0].label} → {label}"
        header = ["benchmark", "protocol", "difference", "only first / only second right", "p"]
        parts.append(f"<h3>{html.escape(title)}</h3>" + _html_table(header, rows))
    return "\n".join(parts)


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _accuracy_plot(evaluation: Evaluation) -> str:
    """Bars with intervals per benchmark: each model under both protocols, and a mark where the paper's figure is."""
    series = [(model, protocol) for model in evaluation.models for protocol in PROTOCOLS]
    names = list(evaluation.problems)
    row, gap, left, width = 16, 14, 190, 640
    height = len(names) * (len(series) * row + gap) + 40
    parts = [_axis(left, width, height)]
    y = 10.0
    for name in names:
        title = html.escape(evaluation.problems[name].benchmark.title)
        parts.append(f"<text x='{left - 10}' y='{y + len(series) * row / 2 + 4}' text-anchor='end'>{title}</text>")
        for index, (model, protocol) in enumerate(series):
            parts.append(_bar(model, name, protocol, index, left, width, y, row))
            y += row
        y += gap
    legend = "".join(
        f"<span class='key'><i class='s{index % 8}'></i>{html.escape(model.label)}, {protocol}</span>"
        for index, (model, protocol) in enumerate(series)
    )
    return (
        f"<figure><figcaption>Accuracy in per cent with 95 % intervals; ◆ is the paper's figure</figcaption>"
        f"<div class='legend'>{legend}</div><div class='scroll'>"
        f"<svg role='img' aria-label='accuracy per benchmark' viewBox='0 0 {left + width + 40} {height}'>"
        f"{''.join(parts)}</svg></div></figure>"
    )


def _axis(left: int, width: int, height: int) -> str:
    ticks = []
    for tick in range(0, 101, 20):
        x = left + width * tick / 100
        ticks.append(f"<line class='grid' x1='{x}' x2='{x}' y1='0' y2='{height - 26}'/>")
        ticks.append(f"<text class='tick' x='{x}' y='{height - 8}' text-anchor='middle'>{tick}</text>")
    return "".join(ticks)


def _bar(model: ModelResult, name: str, protocol: str, index: int, left: int, width: int, y: float, row: int) -> str:
    estimate = model.scores[name].protocols[protocol].accuracy
    low, high, value = (left + width * share for share in (estimate.low, estimate.high, estimate.value))
    middle = y + row / 2
    label = html.escape(f"{model.label}, {protocol}: {with_interval(estimate)} of {estimate.items} items")
    bar = f"<rect class='s{index % 8}' x='{left}' y='{y + 2}' width='{max(value - left, 1):.1f}' height='{row - 4}'/>"
    whisker = f"<line class='whisker' x1='{low:.1f}' x2='{high:.1f}' y1='{middle}' y2='{middle}'/>"
    figure = published(model.paper_row, name) if model.paper_row and protocol == PAPER else None
    mark = ""
    if figure is not None:
        x = left + width * figure / 100
        mark = f"<path class='paper' d='M{x - 5:.1f} {middle} l5 -5 l5 5 l-5 5z'><title>paper: {figure}</title></path>"
    return f"<g><title>{label}</title>{bar}{whisker}{mark}</g>"


def _length_plots(graded: dict[str, dict[str, list[GradedItem]]]) -> list[str]:
    """One histogram of completion lengths per model; what was cut off is drawn apart."""
    plots = []
    for label, by_name in graded.items():
        responses = [r for items in by_name.values() for item in items for r in item.responses]
        lengths = [(r.completion_tokens, r.finish_reason == "length") for r in responses if r.completion_tokens]
        if lengths:
            plots.append(_histogram(label, lengths))
    return plots


def _histogram(label: str, lengths: list[tuple[int, bool]]) -> str:
    bins, width, height = 40, 830, 140
    top = max(length for length, _ in lengths) + 1
    counts = [[0, 0] for _ in range(bins)]
    for length, cut in lengths:
        counts[min(bins - 1, length * bins // top)][cut] += 1
    most = max(sum(pair) for pair in counts)
    bars = []
    for index, (ended, cut) in enumerate(counts):
        x, step = 20 + index * width / bins, width / bins - 2
        title = f"{index * top // bins}–{(index + 1) * top // bins} tokens: {ended} ended, {cut} cut off"
        tall, cut_tall = ended / most * height, cut / most * height
        bars.append(
            f"<g><title>{title}</title>"
            f"<rect class='s0' x='{x:.1f}' y='{height - tall + 8:.1f}' width='{step:.1f}' height='{tall:.1f}'/>"
            f"<rect class='cut' x='{x:.1f}' y='{height - tall - cut_tall + 8:.1f}' width='{step:.1f}' "
            f"height='{cut_tall:.1f}'/></g>"
        )
    ticks = "".join(
        f"<text class='tick' x='{20 + width * part / 4:.0f}' y='{height + 26}' text-anchor='middle'>{top * part // 4}</text>"
        for part in range(5)
    )
    cut_off = sum(cut for _, cut in lengths)
    return (
        f"<figure><figcaption>{html.escape(label)}: tokens per response ({len(lengths)} responses, {cut_off} cut off, "
        f"drawn on top)</figcaption><div class='scroll'><svg role='img' aria-label='lengths' "
        f"viewBox='0 0 {width + 40} {height + 34}'>{''.join(bars)}{ticks}</svg></div></figure>"
    )

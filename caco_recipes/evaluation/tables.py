"""Markdown tables: ours / paper / difference for one model, base / tuned / difference for several."""

from collections.abc import Sequence
from typing import Any

from caco_recipes.evaluation.metrics import Comparison, Estimate
from caco_recipes.evaluation.protocols import PAPER, PROTOCOLS, STRICT
from caco_recipes.evaluation.published import published
from caco_recipes.evaluation.results import Evaluation, ModelResult


def per_cent(share: float) -> str:
    return f"{100 * share:.1f}"


def with_interval(estimate: Estimate) -> str:
    """`52.1 [49.4, 54.8]`, in per cent."""
    return f"{per_cent(estimate.value)} [{per_cent(estimate.low)}, {per_cent(estimate.high)}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    marks = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, marks, *rows))


def model_table(evaluation: Evaluation, model: ModelResult) -> str:
    """One model: both protocols, the paper's figure and the difference to it, and what a reader should know beside."""
    rows = []
    for name, score in model.scores.items():
        paper, strict = score.protocols[PAPER], score.protocols[STRICT]
        figure = published(model.paper_row, name) if model.paper_row else None
        comparable = figure is not None and evaluation.problems[name].whole
        difference = f"{100 * paper.accuracy.value - figure:+.1f}" if comparable else "–"
        rows.append(
            [
                evaluation.problems[name].benchmark.title,
                str(paper.items),
                with_interval(paper.accuracy),
                *(["–" if figure is None else f"{figure:.1f}", difference] if model.paper_row else []),
                with_interval(strict.accuracy),
                str(len(score.differing_items)),
                str(strict.undecided),
                f"{per_cent(score.truncated)} %",
                f"{score.lengths['mean']:.0f}",
            ]
        )
    figures = [published(model.paper_row, name) for name in model.scores] if model.paper_row else []
    if len(model.scores) > 1:
        average = model.average
        whole = figures and None not in figures and all(p.whole for p in evaluation.problems.values())
        mean = sum(figures) / len(figures) if whole else None
        rows.append(
            [
                "**AVG**",
                str(sum(s.protocols[PAPER].items for s in model.scores.values())),
                with_interval(average[PAPER]),
                *(_average_against(mean, average[PAPER].value) if model.paper_row else []),
                with_interval(average[STRICT]),
                str(sum(len(s.differing_items) for s in model.scores.values())),
                str(sum(s.protocols[STRICT].undecided for s in model.scores.values())),
                "",
                "",
            ]
        )
    header = ["benchmark", "items", "ours (caco-paper)", *(["paper", "difference"] if model.paper_row else [])]
    header += ["ours (strict)", "items that differ", "undecided", "cut off", "tokens"]
    return table(header, rows)


def _average_against(published_mean: float | None, share: float) -> list[str]:
    if published_mean is None:
        return ["–", "–"]
    return [f"{published_mean:.1f}", f"{100 * share - published_mean:+.1f}"]


def samples_table(evaluation: Evaluation, model: ModelResult) -> str:
    """pass@k, maj@k, avg@n; empty text for single samples."""
    rows = []
    for name, score in model.scores.items():
        for protocol in PROTOCOLS:
            found = score.protocols[protocol]
            for k in found.pass_at:
                rows.append(
                    [
                        evaluation.problems[name].benchmark.title,
                        protocol,
                        str(found.samples),
                        with_interval(found.accuracy),
                        str(k),
                        with_interval(found.pass_at[k]),
                        with_interval(found.maj_at[k]),
                    ]
                )
    if not rows:
        return ""
    return table(["benchmark", "protocol", "samples (n)", "avg@n", "k", "pass@k", "maj@k"], rows)


def comparison_table(evaluation: Evaluation, model: ModelResult) -> str:
    """Base / model / difference, paired on the same items."""
    base = evaluation.models[0]
    rows = []
    for name, by_protocol in evaluation.comparisons[model.label].items():
        for protocol, comparison in by_protocol.items():
            rows.append(
                [
                    evaluation.problems[name].benchmark.title,
                    protocol,
                    str(comparison.difference.items),
                    with_interval(base.scores[name].protocols[protocol].accuracy),
                    with_interval(model.scores[name].protocols[protocol].accuracy),
                    signed(comparison),
                    f"{comparison.only_first} / {comparison.only_second}",
                    p_text(comparison),
                ]
            )
    header = ["benchmark", "protocol", "items", base.label, model.label, "difference"]
    return table([*header, f"only {base.label} / only {model.label} right", "p"], rows)


def signed(comparison: Comparison) -> str:
    d = comparison.difference
    return f"{100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"


def decoding_text(decoding: dict[str, Any]) -> str:
    """The decoding parameters that are set, in a line."""
    shown = {key: value for key, value in decoding.items() if value not in ("", (), [], False, None)}
    texts = {k: " ".join(map(repr, v)) if isinstance(v, tuple | list) else str(v) for k, v in shown.items()}
    return ", ".join(f"{key} {text}" for key, text in texts.items())


def p_text(comparison: Comparison) -> str:
    """The p-value, never a bare zero."""
    return "< 0.001" if comparison.p_value < 0.001 else f"{comparison.p_value:.3f}"


def document(evaluation: Evaluation) -> str:
    """`comparison.md`: every table of an evaluation, with how to read it."""
    decoding = decoding_text(evaluation.decoding)
    parts = [f"# {evaluation.name}", "", f"Decoding: {decoding}. Accuracies in per cent, intervals at 95 %.", ""]
    if len(evaluation.models) > 1:
        for model in evaluation.models[1:]:
            parts += [f"## {evaluation.models[0].label} against {model.label}", ""]
            parts += [comparison_table(evaluation, model), ""]
            parts += [
                "Differences are paired on the same items; p is the exact McNemar test (several samples: sign flip).",
                "",
            ]
    for model in evaluation.models:
        parts += [
            f"## {model.label}",
            "",
            f"`{model.model}` ({model.identity})",
            "",
            model_table(evaluation, model),
            "",
        ]
        if samples := samples_table(evaluation, model):
            parts += [samples, ""]
    subsets = [p for p in evaluation.problems.values() if not p.whole]
    if subsets:
        named = ", ".join(f"{p.benchmark.title} {len(p)} of {p.benchmark.problems}" for p in subsets)
        parts += [f"Not whole: {named}. Such a number is no benchmark result.", ""]
    parts += [
        "`caco-paper` follows the rules that the published numbers were made with; `strict` is this project's grader: it "
        "rejects cut-off responses, corrects known wrong golds and leaves what it can't tell undecided (not right). The "
        "items on which they differ are listed in `results.json` and shown in `page.html`.",
        "",
    ]
    return "\n".join(parts)

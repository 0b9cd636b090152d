"""A forecast as a table for a terminal, with what it rests on."""

from caco_recipes.forecast import Forecast, Range, StepForecast

COLUMNS = ("step", "rows in", "kept", "95 % interval", "share", "tokens", "hours", "GPU h", "CPU h")


def forecast_text(made: Forecast, pilot: str) -> str:
    """The table, its notes, prices and speeds. `pilot` is the folder that it was learned from."""
    head = [*COLUMNS, made.currency]
    rows = [_cells(one) for one in made.steps]
    total = _cells(made.total)
    total[4] = f"{100 * made.total.kept.middle / made.total.rows.middle:.1f} %" if made.total.rows.middle else "–"
    widths = [max(len(row[i]) for row in [head, *rows, total]) for i in range(len(head))]
    rule = "  ".join("─" * width for width in widths)
    lines = [f"{made.name}: forecast from the pilot {pilot}", ""]
    lines += [
        _aligned(head, widths),
        rule,
        *(_aligned(row, widths) for row in rows),
        rule,
        _aligned(total, widths),
        "",
    ]
    all_tokens = made.total.prompt_tokens + made.total.completion_tokens
    if made.total.hours is not None:
        lines.append(
            f"in all, 95 %: {_span(made.total.kept)} rows kept · {_span(all_tokens)} tokens · {_span(made.total.hours)} "
            f"hours · {_span(made.total.gpu_hours)} GPU hours · {_span(made.total.cost)} {made.currency}"
        )
    for one in made.steps:
        lines += [f"  {one.name}: {note}" for note in one.notes]
    if made.unknown:
        lines.append(f"Hours and cost leave out {', '.join(made.unknown)}.")
    measured = [one.name for one in made.steps if one.speed == "pilot"]
    if measured:
        lines.append(
            f"Hours of {', '.join(measured)} are those of the pilot's machine; for another one state "
            "--prices.engines.NAME.tokens_per_second N (prompt and new tokens, the whole engine)."
        )
    lines.append(
        f"Prices: a GPU hour {made.prices['gpu_hour']:g}, a core hour {made.prices['cpu_hour']:g} {made.currency} "
        "(--prices.gpu_hour, --prices.cpu_hour; tokens: --prices.engines.NAME.prompt and .completion, per million)."
    )
    return "\n".join(lines) + "\n"


def _cells(one: StepForecast) -> list[str]:
    tokens = one.prompt_tokens + one.completion_tokens
    trained = one.stage == "sft"
    share = f"{100 * one.kept.middle / one.rows.middle:.1f} %" if one.rows.middle and not trained else "–"
    return [
        one.name,
        short(one.rows.middle),
        "–" if trained else short(one.kept.middle),
        "–" if trained else _span(one.kept),
        share,
        short(tokens.middle) if tokens.high else "–",
        "–" if one.hours is None else short(one.hours.middle),
        short(one.gpu_hours.middle) if one.gpu_hours.high else "–",
        "–" if one.hours is None else short(one.cpu_hours.middle),
        "–" if one.hours is None and not one.cost.high else short(one.cost.middle),
    ]


def _span(made: Range) -> str:
    return f"{short(made.low)} to {short(made.high)}"


def short(value: float) -> str:
    """`0.0123`, `12.3`, `1,234`, `12.3K`, `1.35M`, `6.02B`."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e4, "K")):
        if value >= size * 0.99995:
            return f"{value / (1e3 if letter == 'K' else size):.3g}{letter}"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else f"{value:.1g}"


def _aligned(cells: list[str], widths: list[int]) -> str:
    first, *rest = cells
    return "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))])

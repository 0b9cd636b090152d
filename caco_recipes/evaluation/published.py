"""Published accuracies (per cent) of the Caco paper, table 1 and table 2, for the columns `paper` and `difference`.

Table 1: zero-shot, greedy, pass@1. Table 2 was run in OpenCompass, whose settings the paper does not give. A figure is
`None` where the paper has none.
"""

TABLE_1_COLUMNS = ("math", "gsm8k", "college_math", "deepmind_math", "olympiadbench", "theoremqa")
TABLE_1: dict[str, tuple[float, ...]] = {
    "DeepSeekMath-7B-RL": (51.1, 88.8, 34.5, 58.2, 18.8, 30.9),
    "DeepSeekMath-7B-MetaMath": (40.2, 80.5, 35.7, 48.1, 11.4, 21.8),
    "DeepSeekMath-7B-NuminaMath": (47.7, 78.5, 38.0, 56.2, 18.2, 22.1),
    "DeepSeekMath-7B-DartMath": (53.6, 86.8, 40.7, 61.6, 21.7, 32.2),
    "DeepSeekMath-7B-MathFusion": (53.4, 77.9, 39.8, 65.8, 23.3, 24.6),
    "Caco-Seed109K-DeepSeekMath-7B": (58.7, 82.4, 42.9, 71.3, 22.4, 28.9),
    "Caco-300K-DeepSeekMath-7B": (61.8, 83.2, 43.3, 76.0, 23.9, 31.1),
    "Caco-596K-DeepSeekMath-7B": (63.5, 85.2, 44.4, 78.0, 25.8, 30.2),
    "Caco-1.3M-DeepSeekMath-7B": (68.2, 85.1, 46.0, 80.2, 29.5, 33.8),
    "Qwen2.5-Math-7B-Instruct": (82.1, 94.1, 50.4, 72.9, 41.3, 40.8),
    "Qwen2.5-Math-7B-NuminaMath": (70.6, 90.8, 46.1, 75.1, 35.9, 37.4),
    "Qwen2.5-Math-7B-DartMath": (61.4, 89.7, 42.5, 72.0, 25.8, 35.5),
    "Qwen2.5-Math-7B-MathFusion": (75.2, 83.5, 43.0, 76.0, 39.5, 41.5),
    "Caco-Seed109K-Qwen2.5-Math-7B": (80.6, 92.3, 47.1, 83.0, 41.6, 45.9),
    "Caco-300K-Qwen2.5-Math-7B": (81.6, 92.4, 51.2, 84.8, 42.5, 44.9),
    "Caco-596K-Qwen2.5-Math-7B": (81.1, 92.4, 50.3, 86.7, 43.3, 45.5),
    "Caco-1.3M-Qwen2.5-Math-7B": (82.4, 92.6, 51.4, 87.1, 46.5, 46.0),
    "LLaMA3-8B-Instruct": (44.3, 53.4, 29.8, 42.0, 11.3, 17.7),
    "LLaMA3-8B-NuminaMath": (43.6, 79.7, 24.7, 43.1, 16.4, 19.9),
    "LLaMA3-8B-DartMath": (46.6, 81.1, 28.8, 48.0, 14.5, 19.4),
    "Caco-Seed109K-Llama3-8B": (55.3, 86.0, 42.2, 52.0, 19.1, 25.6),
    "Caco-596K-LLaMA3-8B": (64.3, 88.6, 44.8, 66.7, 24.7, 27.6),
    "Caco-1.3M-LLaMA3-8B": (70.6, 89.1, 46.2, 72.5, 34.1, 31.0),
}
TABLE_2_COLUMNS = ("agieval", "aime24", "humaneval_plus", "arc_challenge", "bbh", "korbench")
TABLE_2: dict[str, tuple[float, ...]] = {
    "Qwen2.5-Math-7B": (42.5, 20.0, 12.8, 72.2, 19.9, 39.7),
    "Caco-1.3M-Qwen2.5-Math-7B": (53.3, 23.3, 53.1, 81.4, 65.1, 47.1),
    "LLaMA3-8B": (28.5, 0.0, 32.3, 79.0, 19.8, 23.8),
    "Caco-1.3M-LLaMA3-8B": (46.5, 10.8, 34.2, 83.1, 33.8, 44.1),
}

# The authors' released models and the row of the paper that they are.
RELEASED = {
    "LHL3341/Qwen2.5-Math-7B-Caco": "Caco-1.3M-Qwen2.5-Math-7B",
    "LHL3341/DeepSeekMath-7B-Caco": "Caco-1.3M-DeepSeekMath-7B",
    "LHL3341/Llama3-8B-Caco": "Caco-1.3M-LLaMA3-8B",
}


def rows() -> list[str]:
    """Every row that has a published figure."""
    return list(dict.fromkeys([*TABLE_1, *TABLE_2]))


def published(row: str, benchmark: str) -> float | None:
    """The paper's accuracy in per cent, or `None`."""
    for columns, table in ((TABLE_1_COLUMNS, TABLE_1), (TABLE_2_COLUMNS, TABLE_2)):
        if row in table and benchmark in columns:
            return table[row][columns.index(benchmark)]
    return None

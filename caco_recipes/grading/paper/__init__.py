"""The published graders' verdicts (protocol `caco-paper`), as pure functions that never evaluate text.

`qwen`: MATH and GSM8K. `dart`: CollegeMath, DeepMind-Mathematics. `olympiad`: OlympiadBench. `theoremqa`: the official 4 % rule.
"""

from caco_recipes.grading.paper import dart, olympiad, qwen, theoremqa

__all__ = ["dart", "olympiad", "qwen", "theoremqa"]

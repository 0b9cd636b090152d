"""Grading of answers: `grade` and `extract` (pure, in this process), `Grader` (with the slow tier), `grade_output` (typed
program outputs), and the published graders' rules in `grading.paper`."""

from caco_recipes.grading.extract import Extraction, extract
from caco_recipes.grading.grade import GRADER_VERSION, grade
from caco_recipes.grading.slow import Grader
from caco_recipes.grading.typed import grade_output

__all__ = ["GRADER_VERSION", "Extraction", "Grader", "extract", "grade", "grade_output"]

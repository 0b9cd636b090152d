"""Benchmarks, protocols, numbers: everything behind `caco evaluate`, one idea per file.

`benchmarks` says what is measured, `loading` and `schemas` get the problems, `prompts` renders them, `protocols` grades a
response (`caco-paper` as the published numbers were made, `strict` by our own grader), `metrics` counts, `results`,
`tables`, `page` and `hub_results` show. `choices`, `short_answers` and `code_tests` grade what is not mathematics.
"""

"""Our grader inside harnesses that people trust, for cross-checks: `inspect_scorer` (inspect-ai), `lm_eval_tasks` (lm-eval)."""

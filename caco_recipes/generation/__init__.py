"""Model requests: what is asked, what comes back, and the engines that answer (transformers, vllm, openai, recorded).

Read `requests` (what a request is), `engine` (what an engine is), `session` (what stages call), `store` (what is kept).
"""

from caco_recipes.generation.requests import Completion, Request, SamplingParams

__all__ = ["Completion", "Request", "SamplingParams"]

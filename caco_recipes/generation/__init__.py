"""Model requests: what is asked, what comes back, and the engines that answer (transformers, vllm, openai, recorded)."""

from caco_recipes.generation.requests import Completion, Request, SamplingParams

__all__ = ["Completion", "Request", "SamplingParams"]

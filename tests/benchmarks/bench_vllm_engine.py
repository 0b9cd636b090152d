"""Throughput of a generation step through Session and store against a bare `LLM.generate` of the same requests.

    VLLM_CPU_KVCACHE_SPACE=1 .venv-vllm/bin/python tests/benchmarks/bench_vllm_engine.py models/SmolLM2-135M-Instruct

Both run on one and the same vLLM engine, in turns, warmed up first; prompts are new in every round, so that no round
finds another's prefixes. The step is fed in shards by two threads, as the pipeline feeds it. Bar: median of the ratios
≥ 0.95.
"""

import argparse
import statistics
import tempfile
import threading
import time

from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engines.vllm_engine import VllmEngine
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--max_tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    from vllm import LLM
    from vllm import SamplingParams as VllmSamplingParams

    config = EngineConfig(engine="vllm", model=options.model, max_model_len=1024, engine_args={"enforce_eager": True})
    engine = VllmEngine(config)
    bare = _bare(LLM, engine)
    sampling = SamplingParams(temperature=0.8, top_p=0.95, max_tokens=options.max_tokens)

    def prompts(round_: int, way: str) -> list[str]:
        # Equal numbers of tokens for both ways; only digits and one word differ.
        mark = {"bare": "red", "step": "blue"}[way]
        question = "Write a short story about {} number {}."
        return [
            engine.render([{"role": "user", "content": question.format(mark, 10_000 + 100 * round_ + n)}])
            for n in range(options.requests)
        ]

    def run_bare(round_: int) -> float:
        texts = prompts(round_, "bare")
        parameters = [
            VllmSamplingParams(
                temperature=0.8, top_p=0.95, max_tokens=options.max_tokens, seed=Request(t, sampling).sampler_seed()
            )
            for t in texts
        ]
        started = time.perf_counter()
        outputs = bare.generate(texts, parameters, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs) / (time.perf_counter() - started)

    with tempfile.TemporaryDirectory() as folder:
        session = Session(engine, Store(folder))

        def run_step(round_: int) -> float:
            requests = [Request(text, sampling, stage="bench") for text in prompts(round_, "step")]
            half = len(requests) // 2
            before = session.usage.completion_tokens_paid
            shards = [
                threading.Thread(target=session.complete, args=(part,)) for part in (requests[:half], requests[half:])
            ]
            started = time.perf_counter()
            for shard in shards:
                shard.start()
            for shard in shards:
                shard.join()
            return (session.usage.completion_tokens_paid - before) / (time.perf_counter() - started)

        for warm in range(90, 92):
            run_bare(warm)
            run_step(warm)
        ratios = []
        for round_ in range(options.rounds):
            # The first of a pair alternates.
            ways = [run_bare, run_step] if round_ % 2 == 0 else [run_step, run_bare]
            speed = {way: way(round_) for way in ways}
            ratios.append(speed[run_step] / speed[run_bare])
            print(
                f"round {round_ + 1}: bare {speed[run_bare]:6.1f} tokens/s, step {speed[run_step]:6.1f}, ratio {ratios[-1]:.3f}"
            )
        median = statistics.median(ratios)
        print(f"median ratio {median:.3f}, bar 0.95: {'ok' if median >= 0.95 else 'MISSED'}")
        session.close()


def _bare(llm_class, engine: VllmEngine):
    """vLLM's own `LLM` around the engine that is already running, so that both ways share weights and caches."""
    from vllm.v1.engine.llm_engine import LLMEngine

    original = LLMEngine.__dict__["from_engine_args"]
    LLMEngine.from_engine_args = classmethod(lambda cls, *arguments, **keywords: engine._engine)
    try:
        return llm_class(engine._engine.model_config.model, max_model_len=1024, enforce_eager=True)
    finally:
        LLMEngine.from_engine_args = original


if __name__ == "__main__":
    main()

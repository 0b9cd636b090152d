"""Our grader inside inspect-ai and lm-eval, where those are installed (they are no dependency of this project)."""

import json
from pathlib import Path

import pytest
import yaml

from caco_recipes.evaluation.adapters.one_response import judge_response
from caco_recipes.evaluation.protocols import PAPER, STRICT

NO_INSPECT = "inspect-ai is not installed (pip install inspect-ai, in an environment of its own)"
NO_LM_EVAL = "lm-eval is not installed (pip install lm-eval, in an environment of its own)"
TASKS = Path(__file__).resolve().parent.parent / "caco_recipes" / "evaluation" / "adapters" / "lm_eval_tasks"


def test_one_response():
    judged = judge_response(r"So $\boxed{\frac12}$.", "0.5")
    assert judged[STRICT].right and judged[PAPER].right
    assert judge_response(r"\boxed{1}", "1", cut_off=True)[STRICT].reason == "truncated"
    assert judge_response("The answer is (B).", "B", benchmark="arc_challenge", choices=("x", "y"))[STRICT].right
    with pytest.raises(ValueError, match="caco evaluate"):
        judge_response("", "f", benchmark="humaneval_plus")


def test_lm_eval_tasks_are_the_paper_s_prompt():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    files = sorted(TASKS.glob("*.yaml"))
    assert len(files) == 3
    for file in files:
        task = yaml.load(file.read_text(), Loader)
        assert task["task"] == file.stem and task["process_results"].startswith("caco_grading.")
        assert task["doc_to_text"].endswith("\n\n### Response: Let's think step by step.\n")
        assert task["generation_kwargs"]["max_gen_toks"] == 2048 and not task["generation_kwargs"]["do_sample"]


def test_inspect_ai_scores_with_our_grader(tmp_path):
    pytest.importorskip("inspect_ai", reason=NO_INSPECT)
    from inspect_ai import eval as inspect_eval
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from caco_recipes.evaluation.adapters.inspect_scorer import caco_benchmark

    problems = [
        {"id": i, "problem": f"Problem {i}?", "answer": a} for i, a in enumerate(["4", r"\frac{1}{2}", "3", ""])
    ]
    file = tmp_path / "math500.jsonl"
    file.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    texts = [r"so \boxed{4}", "The answer is 0.5", r"\boxed{7}", r"\boxed{1}"]
    outputs = [ModelOutput.from_content("mockllm/model", text) for text in texts]
    for output in outputs:
        output.usage = ModelUsage(
            input_tokens=1, output_tokens=1, total_tokens=2
        )  # else it counts with a downloaded table
    # inspect's own test model: it plays texts back through the whole of inspect's machinery
    model = get_model("mockllm/model", custom_outputs=outputs)
    task = caco_benchmark(benchmark="math500", path=str(file), expected=4)
    [log] = inspect_eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", max_samples=1)
    assert log.status == "success", log.error
    values = [sample.scores["caco"].value for sample in log.samples]
    assert values == ["C", "C", "I", "N"]
    assert log.samples[0].input == "### Instruction:\nProblem 0?\n\n### Response: Let's think step by step.\n"
    assert log.samples[1].scores["caco"].metadata[STRICT]["extracted"] == "0.5"
    assert log.results.scores[0].metrics["accuracy"].value == 0.5


def test_lm_eval_tasks_score_with_our_grader(tmp_path):
    lm_eval = pytest.importorskip("lm_eval", reason=NO_LM_EVAL)
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    rows = [{"question": f"Question {i}?", "answer": f"because\n#### {i}"} for i in range(3)]
    file = tmp_path / "gsm8k.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    class Played(LM):
        """Answers from a list, through lm-eval's own evaluator."""

        def __init__(self):
            super().__init__()
            self.prompts = []

        def generate_until(self, requests, disable_tqdm=False):
            self.prompts += [request.args[0] for request in requests]
            texts = {"Question 0?": r"\boxed{0}", "Question 1?": "The answer is 1.0", "Question 2?": "I don't know"}
            return [next(text for question, text in texts.items() if question in p) for p in self.prompts]

        def loglikelihood(self, requests, disable_tqdm=False):
            raise NotImplementedError

        def loglikelihood_rolling(self, requests, disable_tqdm=False):
            raise NotImplementedError

    task = load_yaml(TASKS / "caco_gsm8k.yaml")
    task |= {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": {"test": str(file)}}}
    model = Played()
    found = lm_eval.simple_evaluate(model=model, tasks=[task], task_manager=TaskManager(include_path=str(TASKS)))
    scores = found["results"]["caco_gsm8k"]
    assert scores["strict,none"] == pytest.approx(2 / 3) and scores["caco_paper,none"] == pytest.approx(2 / 3)
    assert "### Instruction:\nQuestion 0?\n\n### Response: Let's think step by step.\n" in model.prompts
    assert "caco_math500" in TaskManager(include_path=str(TASKS)).all_tasks

"""The blind check with real machinery: a model that answers, a sandbox whose servers die under the other's program."""

import json

from dying_servers import servers_die
from nano_model import nano_model
from stage_runs import dropped, kept, run_stages, write_json_lines

from caco_recipes import faithful
from caco_recipes.families.blind import compare_program
from caco_recipes.sandbox import Limits, Pool

PROBLEM = "A shop sells 12 pens at $2.50 each and takes 20% off the total. What is to be paid?"
OURS = """def pay(pens, price, discount):
    # the full price
    total = pens * price
    return total * (1 - discount)

input = {"pens": 12, "price": 2.5, "discount": 0.2}
output = pay(**input)
print(output)
"""
THEIRS = """def cost(number, each, percent):
    total = number * each
    return total - total * percent / 100

input = {"number": 12, "each": 2.5, "percent": 20}
output = cost(**input)
print(output)
"""
CONFIG = faithful.Config()


def row_of(**keys):
    family = [
        {"input": json.dumps({"pens": n, "price": 2.5, "discount": 0.2}), "output": f"{2.0 * n}"} for n in (5, 9)
    ]
    variants = [one | {"output_text": one["output"], "fits": True} for one in family]
    row = {"problem": PROBLEM, "code": OURS, "output": "24.0", "output_text": "24.0", "variants": json.dumps(variants)}
    return row | {"input": json.dumps({"pens": 12, "price": 2.5, "discount": 0.2})} | keys


def test_a_real_model_is_asked_and_its_text_says_nothing_against_a_row(tmp_path):
    seeds = [{"problem": PROBLEM, "answer": "24.0", "program": OURS, "source": "t", "licence": "MIT"}]
    stages = {
        "seeds": {"sources": [{"path": str(write_json_lines(tmp_path / "seeds.jsonl", seeds))}]},
        "unify": {"method": "mechanical"},
        "execute": {},
        "metamorphic": {"reruns": 0},
        "faithful": {"blind": True, "engine": "nano", "attempts": 2, "max_tokens": 24},
    }
    engines = {"nano": {"engine": "transformers", "model": str(nano_model()), "device": "cpu", "batch_size": 2}}
    run = run_stages(tmp_path, stages, engines=engines)
    (row,) = kept(run, "faithful") or dropped(run, "faithful")
    # A model of random weights writes no program: that is the model's failure, not the row's.
    assert (row["verdict"], row["blind_verdict"]) == ("undecided", "no_program")
    assert row["reason"] == "infrastructure:no blind program"
    receipt = json.loads(row["lineage"])[-1]
    assert receipt["stage"] == "faithful" and receipt["model"] and receipt["request_key"]


def test_a_sandbox_that_dies_under_the_other_program_rejects_nothing(monkeypatch):
    wrong = THEIRS.replace("total -", "1 + total -")
    with Pool(1, Limits(slow_cpu_seconds=None)) as pool:
        alive = pool.run_one(THEIRS)
        assert compare_program(row_of(), THEIRS, alive, CONFIG, pool).verdict == "agrees"
        assert compare_program(row_of(), wrong, pool.run_one(wrong), CONFIG, pool).verdict == "disagrees"
        servers_die(pool, monkeypatch, "def cost")
        # It dies on the original input, and later on a changed one.
        for code, result in ((wrong, pool.run_one(wrong)), (THEIRS, alive)):
            compared = compare_program(row_of(), code, result, CONFIG, pool)
            assert compared.verdict == "no_program" and compared.fault.startswith("infrastructure:")
            assert faithful._with_blind("accepted", "", compared, CONFIG) == ("undecided", compared.fault)


def test_programs_that_part_on_a_changed_input_name_it():
    blunt = THEIRS.replace("total * percent / 100", "6")
    with Pool(1, Limits(slow_cpu_seconds=None)) as pool:
        compared = compare_program(row_of(), blunt, pool.run_one(blunt), CONFIG, pool)
    assert (compared.verdict, compared.parted, compared.inputs) == ("disagrees", "pens", 3)
    assert faithful._with_blind("undecided", "unfaithful:price", compared, CONFIG) == ("rejected", "unfaithful:pens")

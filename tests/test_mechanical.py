"""Seed programs as Code CoTs: the same result in another form, whatever the style; traps; what can't be done."""

import ast
import json
import random
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caco_recipes.code_cot import extract_program
from caco_recipes.mechanical import CannotUnify, unify_function, unify_program
from caco_recipes.sandbox import Pool
from caco_recipes.test_cases import choose_case
from caco_recipes.verdicts import check_reason


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1) as pool:
        yield pool


def output_of(pool, code):
    result = next(iter(pool.run([code])))
    assert result.status == "ok", (result.reason, code)
    return result.output_text


# program as written, its input afterwards, its result
STYLES = {
    "print": ("import math\nradius = 3\nprint(math.floor(radius ** 2 * math.pi))", {"radius": 3}, "28"),
    "print with a label": ("x = 4\nprint('The answer is', x * 2)", {"x": 4}, "8"),
    "print of a labelled f-string": ("x = 4\ny = 6\nprint(f'x + y = {x + y}')", {"x": 4, "y": 6}, "10"),
    "f-string that is the answer": ("a = 3\nb = 4\nprint(f'{a}/{b}')", {"a": 3, "b": 4}, "3/4"),
    "answer variable": ("apples = 5\nper_box = 2\nans = apples // per_box", {"apples": 5, "per_box": 2}, "2"),
    "notebook": ("# %%\nx = 7\nx\n# %%\ny = x + 1\ny * 2", {"x": 7}, "16"),
    "notebook that ends in an assignment": ("a = 2\n# %%\ntotal = a ** 5", {"a": 2}, "32"),
    "function without arguments": ("def solve():\n    n = 10\n    return n * (n + 1) // 2", {"n": 10}, "55"),
    "function called with numbers": ("def f(a, b):\n    return a - b\nprint(f(9, b=4))", {"a": 9, "b": 4}, "5"),
    "function called with variables": (
        "n = 6\ndef f(k):\n    return k * k\nresult = f(n)\nprint(result)",
        {"k": 6},
        "36",
    ),
    "main guard": (
        "def main():\n    n = 4\n    print(n + 1)\n\nif __name__ == '__main__':\n    main()",
        {"n": 4},
        "5",
    ),
    "statements in one line": ("a = 2; b = 3; print(a * b)", {"a": 2, "b": 3}, "6"),
    "exit at the end": ("import sys\na = 2\nprint(a)\nsys.exit(0)", {}, "2"),
    "maker of a fraction": (
        "from fractions import Fraction\nshare = Fraction(3, 4)\nprint(share * 8)",
        {"share": (3, 4)},
        "6",
    ),
    "maker of a table over several lines": (
        "import numpy as np\ntable = np.array([[1, 2],\n                  [3, 4]])  # two by two\nprint(int(table.sum()))",
        {"table": [[1, 2], [3, 4]]},
        "10",
    ),
    "tuple assignment": ("x, y = 3, 5\nprint(x * y)", {"x": 3, "y": 5}, "15"),
    "value set in a branch": ("n = 5\nif n > 3:\n    ans = 'Yes'\nelse:\n    ans = 'No'", {"n": 5}, "Yes"),
}


@pytest.mark.parametrize("style", STYLES)
def test_each_style_becomes_a_code_cot_with_the_same_result(style, pool):
    program, expected_input, expected_output = STYLES[style]
    code = unify_program(program)
    assert input_of(code) == expected_input
    assert code.rstrip().split("\n")[-1] == "print(output)"
    assert output_of(pool, code) == expected_output


def input_of(code):
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "input":
            return ast.literal_eval(node.value)
    raise AssertionError(code)


# Programs on which a careless rearrangement changes the result or breaks.
TRAPS = {
    "import solve beside def solve": (
        "from sympy import symbols, solve\nx = symbols('x')\ndef best(eq):\n    return max(solve(eq, x))\nprint(best(x**2 - 4))",
        "2",
    ),
    "def solve with its own import": (
        "def solve():\n    from sympy import symbols, Eq, solve\n    x = symbols('x')\n    return solve(Eq(2 * x, 6), x)[0]",
        "3",
    ),
    "an imported name is bound again": ("from math import gcd\ngcd = gcd(12, 18)\nprint(gcd)", "6"),
    "a builtin is bound again": ("a = 3\nb = 8\nmax = max(a, b)\nprint(max)", "8"),
    "a starred name is bound again": ("from math import *\nfloor = floor(2.5)\nprint(floor + 0)", "2"),
    "a function is bound again": ("def f():\n    return 4\nf = f()\nprint(f)", "4"),
    "a helper reads the script's variable": (
        "rate = 3\ntotal = rate * 2\ndef g(x):\n    return x * total\nprint(g(5) + 1)",
        "31",
    ),
    "a helper sets a global": (
        "count = 0\ndef step():\n    global count\n    count += 2\nstep()\nstep()\nprint(count)",
        "4",
    ),
    "recursion": ("def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nk = 10\nprint(fib(k) % 7)", "6"),
    "a list that is changed": ("values = [3, 1]\nvalues.append(2)\nprint(sorted(values))", "[1, 2, 3]"),
    "a variable that is bound twice": ("n = 3\nn = n + 1\nprint(n)", "4"),
    "a string over several lines": ('text = """a\n  b\nc"""\nk = 1\nprint(len(text) + k)', "8"),
    "a variable called output": ("output = 4\nprint(output * 2)", "8"),
    "a comprehension over a variable": ("n = 4\nprint(sum(n * i for i in range(n)))", "24"),
    "a lambda that reads a later variable": ("f = lambda x: x * k\nk = 3\nprint(f(2))", "6"),
    "the last print wins": ("a = 1\nprint(a)\nb = a + 1\nprint(b)", "2"),
    "run-on text": ("def solve():\n    return 12\n\nThe answer is therefore 12.", "12"),
    "a fence": ("```python\nn = 3\nprint(n * 2)\n```\nThis prints 6.", "6"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_keep_their_result(trap, pool):
    program, expected = TRAPS[trap]
    assert output_of(pool, unify_program(program)) == expected


@pytest.mark.parametrize(
    "program, reason",
    [
        ("The answer is 5.", "syntax_error"),
        ("", "bad_row:program_without_result"),
        ("import math", "bad_row:program_without_result"),
        ("def solve(x):\n    return x", "bad_row:program_needs_arguments"),
        ("def solve():\n    pass", "bad_row:program_without_result"),
        ("n = int(input())\nprint(n)", "bad_row:program_reads_stdin"),
        ("print(eval('1 + 1'))", "bad_row:program_is_dynamic"),
        ("x = " + "(" * 200 + "1" + ")" * 200, "bad_row:program_too_deep"),
        ("x = " + "-" * 60_000 + "1", "bad_row:program_too_deep"),
        ("x = 1" + " + 1" * 15_900, "bad_row:program_too_deep"),
        ("x = 1\n" * 20_000, "bad_row:program_too_large"),
        ("x = '\0'", "syntax_error"),
    ],
)
def test_what_cannot_be_unified_says_why(program, reason):
    with pytest.raises(CannotUnify) as caught:
        unify_program(program)
    assert caught.value.reason == reason


def test_comments_stay_and_the_problem_does_not():
    problem = "Roy has saved 40% more than his brother, who has saved 30 dollars. How much has Roy saved?"
    program = textwrap.dedent(
        f'''
        # Question: {problem}
        def money():
            """{problem}"""
            brother = 30  # in dollars
            # forty percent more
            return brother * 7 / 5
        print(money())
        '''
    )
    code = unify_program(program, problem)
    assert "# brother: in dollars" in code and "# forty percent more" in code
    assert "Roy has saved" not in code


def test_a_code_cot_stays_as_it_is():
    code = 'def f(n):\n    return n + 1\n\n\ninput = {"n": 1}\noutput = f(**input)\nprint(output)\n'
    assert unify_program(code) == code


names = st.sampled_from(["a", "b", "total", "max", "sum", "n"])


@st.composite
def scripts(draw):
    """Scripts of assignments, loops, helpers and prints over few names, so that names collide."""
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        name, other = draw(names), draw(names)
        number = draw(st.integers(-5, 9))
        lines += draw(
            st.sampled_from(
                [
                    [f"{name} = {number}"],
                    [f"{name} = {number}  # a remark"],
                    [f"{name} = {other}"],
                    [f"{name} += {number}"],
                    [f"{name}, {other} = {number}, {number + 1}"],
                    [f"for {name} in range({abs(number)}):", f"    {other} = {name}"],
                    [f"def helper({name}):", f"    return ({name}, {other})", f"{name} = helper({number})"],
                    [f"print({name})"],
                    [f"if {number} > 2:", f"    {name} = {number}"],
                    [f"{name} = [{number}]", f"{name}.append({number})"],
                ]
            )
        )
    return "\n".join([*lines, f"print({draw(names)})"])


def test_random_scripts_keep_their_last_print():
    """200 scripts in one process each way: what the last print showed is what the Code CoT prints, errors included."""
    found: list[str] = []

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(scripts())
    def collect(script):
        found.append(script)

    collect()
    before = outcomes(found)
    after = outcomes([unify_program(script) for script in found])
    same = compared = 0
    for script, old, new in zip(found, before, after, strict=True):
        if old is None:  # an unbound name somewhere: any error is as good
            continue
        compared += 1
        assert new is not None and old[-1] == new[-1], script
        same += 1
    assert compared > 50 and same == compared


def outcomes(programs):
    """Lines that each program prints, or None where it fails. Ours and harmless: a plain process is enough."""
    runner = textwrap.dedent(
        """
        import contextlib, io, json, sys
        results = []
        for program in json.load(sys.stdin):
            out = io.StringIO()
            try:
                with contextlib.redirect_stdout(out):
                    exec(compile(program, "program", "exec"), {"__name__": "__main__"})
                results.append(out.getvalue().splitlines())
            except Exception:
                results.append(None)
        json.dump(results, sys.stdout, default=str)
        """
    )
    done = subprocess.run([sys.executable, "-c", runner], input=json.dumps(programs), capture_output=True, text=True)
    return json.loads(done.stdout)


def test_real_programs_give_what_was_measured(shared, pool):
    """A seeded draw over all styles: what ran before runs now, and prints the same."""
    seeds = shared / "data" / "seeds"
    measured = {row["id"]: row for row in map(json.loads, (seeds / "programs_math_exec.jsonl").open())}
    programs = list(map(json.loads, (seeds / "programs_math.jsonl").open()))
    draw = [p for p in random.Random(11).sample(programs, 260) if measured[p["id"]]["status"] == "ok"]
    # Modules that the sandbox lacks, a helper of one collection that its programs never define, and chance.
    without = ("scipy", "networkx", "solve_it", "QuantLib", "random")
    draw = [p for p in draw if not any(word in p["program"] for word in without)]
    results = list(pool.run([unify_program(p["program"], p["problem"]) for p in draw]))
    different = [
        (p["id"], result.status, result.stdout)
        for p, result in zip(draw, results, strict=True)
        if (result.stdout or "").strip()[:100] != measured[p["id"]]["stdout"].strip()[:100]
    ]
    assert len(draw) > 200
    assert len(different) <= 2, different


def test_damaged_programs_give_a_code_cot_or_a_reason(shared):
    """Lines shuffled, lost or cut: never another error, and what comes out parses."""
    programs = list(map(json.loads, (shared / "data" / "seeds" / "programs_math.jsonl").open()))
    draw = random.Random(3)
    made = 0
    for row in draw.sample(programs, 800):
        lines = row["program"].split("\n")
        damaged = "\n".join(draw.sample(lines, len(lines)))
        for program in (damaged, row["program"][: draw.randrange(len(row["program"]) + 1)], "\n".join(lines[1:])):
            try:
                ast.parse(unify_program(program, row["problem"]))
                made += 1
            except CannotUnify as error:
                assert check_reason(error.reason)
    assert made > 500


# -- code seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "solution, tests, call, expected",
    [
        ("def f(a, b):\n    return a + b", "assert f(1, 2) == 3\nassert f(10, 20) == 30", ("10", "20"), "30"),
        (
            "def f(a):\n    return a",
            "def check(candidate):\n    assert candidate([1, 2]) == [1, 2]\ncheck(f)",
            None,
            None,
        ),
        ("def f(a):\n    return not a", "def test_f():\n    assert not f(True)", ("True",), "False"),
        ('def f(s):\n    """\n    >>> f("ab")\n    2\n    """\n    return len(s)', "", ("'ab'",), "2"),
        (
            "def f(a):\n    return a",
            '{"fn_name": "f", "inputs": [[[3, 4]]], "outputs": [[[3, 4]]]}',
            ("[3, 4]",),
            "[3, 4]",
        ),
    ],
)
def test_one_test_case_is_chosen(solution, tests, call, expected):
    entry = "f" if "candidate" in tests else ""
    case = choose_case(solution, tests, entry)
    assert case.function == "f"
    if call is not None:
        assert case.positional == call and case.expected == expected


@pytest.mark.parametrize("tests", ["", "assert f(x) == 1", "this is no Python", "assert g(1) == 1", '{"inputs": []}'])
def test_no_case_to_choose_is_a_reason(tests):
    with pytest.raises(CannotUnify, match="bad_row:tests"):
        choose_case("def f(a):\n    return a", tests)


def test_a_solution_runs_one_case_without_its_doctests(pool):
    solution = 'def f(a, *rest):\n    """Adds.\n\n    >>> f(1, 2, 3)\n    6\n    """\n    return a + sum(rest)\n\nif __name__ == "__main__":\n    input()\n'
    case = choose_case(solution, "")
    code = unify_function(solution, case.function, case.positional, dict(case.named))
    assert ">>>" not in code and "__main__" not in code and "Adds." in code
    assert output_of(pool, code) == "6" == case.expected


@pytest.mark.parametrize(
    "positional, named", [(("1",), {}), (("1", "2", "3"), {}), ((), {"a": "1", "c": "2"}), (("1",), {"a": "2"})]
)
def test_a_call_that_does_not_fit_is_refused(positional, named):
    with pytest.raises(CannotUnify, match="bad_row:tests"):
        unify_function("def f(a, b):\n    return a", "f", positional, named)


# -- programs in completions -------------------------------------------------------------------------------------------

COT = 'def f(n):\n    return n * 2\n\n\ninput = {"n": 3}\noutput = f(**input)\nprint(output)\n'


@pytest.mark.parametrize(
    "completion",
    [
        COT,
        f"Here is the program:\n\n```python\n{COT}```\n\nIt prints 6.",
        f"```\n{COT}```",
        f"```py\n{COT}",
        f"~~~python\n{COT}~~~",
        f"First a draft:\n```python\nprint(3)\n```\nNow the script:\n```python\n{COT}```\nRun it:\n```bash\npython a.py\n```",
        f"<think>\n```python\nprint(1)\n```\n</think>\n```python\n{COT}```",
        f"The program:\n{COT}\n\nProblem: another one\n```python\nprint(7)",
        COT.replace("\n", "\r\n"),
        "1. The script:\n\n" + textwrap.indent(f"```python\n{COT}```", "   "),
        f"{COT}# Next task\ndef g():\n    pass\n",
        f"```python\n{COT}print('done')\n",
    ],
)
def test_the_program_is_found(completion):
    if "Problem: another one" in completion:
        completion = completion.split("```")[0]
    assert extract_program(completion).strip() == COT.strip()


def test_parts_in_several_fences_are_joined():
    function, rest = COT.split("\n\n\n")
    found = extract_program(f"The function:\n```python\n{function}\n```\nThe input:\n```python\n{rest}```")
    assert "def f" in found and "print(output)" in found


@pytest.mark.parametrize("completion", ["", "I can't do that.", "x = 5 is the answer.", "# A heading\n\nand prose."])
def test_prose_has_no_program(completion):
    assert extract_program(completion) == ""


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="`~\n pyton#=defi()<>/\\{}$"))
def test_any_text_gives_text(text):
    assert isinstance(extract_program(text), str)

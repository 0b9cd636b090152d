"""The report: its figures, its Markdown, and the page in a real headless Chromium."""

import json
import re
import shutil

import pytest
from browser import chromium
from made_runs import HOSTILE, make_run

from caco_recipes.funnel import read_run
from caco_recipes.program_patterns import program_patterns
from caco_recipes.report import script_json, write_report
from caco_recipes.report_data import gather
from caco_recipes.report_map import problem_map
from caco_recipes.report_measures import compression_ratio, distinct_n, kept_and_dropped, nearest_seed, shape
from caco_recipes.run_folder import RunError, StepFolder
from caco_recipes.sandbox import Pool

STEPS = ("seeds", "unify", "execute_seeds", "solve", "verify")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "small", 300)
    write_report(folder)
    return folder


def test_every_row_is_counted_once_where_its_way_ends(run):
    report = gather(run)
    dropped = [row["id"] for step in STEPS for row in StepFolder(run / step).read("rejected")]
    kept = [row["id"] for row in StepFolder(run / "verify").read()]
    assert sorted(row["id"] for row in report.rows) == sorted([*dropped, *kept])
    assert report.rows_total == len(report.rows) == 300 == report.totals["rows_in"]
    assert report.totals["accepted"] == len(kept)
    assert report.totals["rejected"] + report.totals["undecided"] == len(dropped)
    assert sum(sum(steps.values()) for steps in report.reasons.values()) == len(dropped)


def test_a_large_run_is_sampled_with_every_reason_in_it(run):
    report = gather(run, browser_rows=60)
    assert report.rows_total == 300 and 40 <= len(report.rows) <= 90
    everything = gather(run)
    assert {row["reason"] for row in report.rows} == {row["reason"] for row in everything.rows}
    assert [row["id"] for row in gather(run, browser_rows=60).rows] == [row["id"] for row in report.rows]


def test_seconds_come_from_events_and_runtimes_from_sidecars(run):
    report = gather(run)
    execute = next(step for step in report.steps if step["name"] == "execute_seeds")
    assert execute["seconds"] == pytest.approx(0.25 * -(-execute["rows"] // 50))
    assert report.runtimes["n"] == execute["rows"] and 0 < report.runtimes["p50"] < report.runtimes["max"]
    assert [step["name"] for step in report.steps if step["recorded"]] == ["solve"]


def test_no_run_is_a_clear_error(tmp_path):
    with pytest.raises(RunError, match="holds no step of a run yet"):
        write_report(tmp_path)
    with pytest.raises(RunError, match="is not a folder"):
        write_report(tmp_path / "absent")


def test_measures():
    assert distinct_n(["a b a b"], 1) == 0.5 and distinct_n(["a b c"], 2) == 1.0 and distinct_n(["a"], 2) == 0.0
    assert compression_ratio(["the same words"] * 100) > 10 > 1.2 > compression_ratio(["q8#zK!x"])
    first = "def f(a):\n    return a + 3  # add\n\nprint(f(4))"
    assert shape(first) == shape("def total(x):\n    return x + 77\nprint(total(9))")
    assert shape(first) != shape("def f(a):\n    return a * 3\nprint(f(4))")
    near = nearest_seed(["ada has three red apples", "quite another question"], ["Ada has three red apples", "zzz"])
    assert near["copies"] == 1 and near["n"] == 2
    assert nearest_seed([], ["a"]) == {} == nearest_seed(["a"], [])


def add_columns(step: StepFolder, columns) -> None:
    """`columns(row)` added to every row of a step's parts, whose records stay."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in [*step.accepted_files(), *step.rejected_files()]:
        table = pq.read_table(path)
        made = [columns(row) for row in table.to_pylist()]
        for name in made[0] if made else []:
            table = table.append_column(name, pa.array([row[name] for row in made]))
        pq.write_table(table, path)


def test_difficulty_and_contamination_of_kept_and_dropped_rows(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")

    def told(row):
        met = row["reason"] == "answer_mismatch"
        return {
            "pass_rate": 0.9 if row["verdict"] == "accepted" else 0.2,
            "cyclomatic": 3,
            "contaminated_by": f"gsm8k/{len(row['id'])}" if met else "",
            "contaminated_kind": "verbatim" if met else "",
            "contaminated_span": "<img src=x> the very same words" if met else "",
        }

    add_columns(StepFolder(copy / "verify"), told)
    write_report(copy)
    report = gather(copy)
    rates = report.difficulty["pass rate of the named model"]
    assert rates["kept"]["p50"] == 0.9 and rates["dropped"]["p50"] == 0.2
    assert rates["kept"]["n"] == report.totals["accepted"]
    found = report.contamination
    mismatches = sum(report.reasons["answer_mismatch"].values())
    assert found["benchmarks"] == {"gsm8k": {"verbatim": mismatches}} and 1 <= len(found["examples"]) <= 4
    assert "| gsm8k | verbatim |" in (copy / "report.md").read_text()
    with chromium(tmp_path / "profile") as driver:
        driver.get(f"file://{copy / 'report.html'}")
        assert "met an item of a benchmark" in driver.find_element("id", "contamination-lead").text
        quote = driver.find_element("css selector", "#contamination .quote")
        assert "<img src=x> the very same words" in quote.text
        driver.execute_script("arguments[0].click()", quote)
        assert "gsm8k/16" in driver.find_element("id", "detail").text
        assert driver.get_log("browser") == []


def test_the_map_puts_like_problems_together_and_names_them(run, tmp_path):
    kinds = {
        "dice": "A fair die with {0} sides is rolled {1} times. What is the probability of a six?",
        "train": "A train travels {0} kilometers in {1} hours. Its speed in kilometers per hour?",
        "apples": "Maria buys {0} apples and {1} oranges at the market. How much fruit has she?",
        "angle": "In triangle ABC the angle at A has {0} degrees and the angle at B {1} degrees.",
    }
    rows = [(kind, text.format(i + 2, 3 * i + 1)) for i in range(15) for kind, text in kinds.items()]
    made = problem_map([text for _, text in rows], [str(i) for i in range(len(rows))])
    again = problem_map([text for _, text in rows], [str(i) for i in range(len(rows))])
    assert made == again and len(made["points"]) == 60 == sum(c["rows"] for c in made["clusters"])
    # No cluster mixes kinds, and a point's nearest neighbours are of its kind.
    for cluster in range(len(made["clusters"])):
        assert len({rows[i][0] for i, point in enumerate(made["points"]) if point[2] == cluster}) == 1
    for i, (x, y, _, _) in enumerate(made["points"]):
        near = sorted((x - p[0]) ** 2 + (y - p[1]) ** 2 for j, p in enumerate(made["points"]) if rows[j] != rows[i])
        others = [p for j, p in enumerate(made["points"]) if rows[j][0] != rows[i][0]]
        assert min((x - p[0]) ** 2 + (y - p[1]) ** 2 for p in others) > near[2]
    words = {word for cluster in made["clusters"] for word in cluster["words"]}
    assert words & {"train", "kilometers"} and words & {"angle", "triangle", "degrees"}
    assert (
        problem_map(["a"] * 9, ["i"] * 9) == {} and len(problem_map(["same words"] * 20, ["i"] * 20)["points"]) == 20
    )
    assert len(problem_map(["", "1 2 3", "é"] * 10, ["i"] * 30)["points"]) == 30
    with chromium(tmp_path / "profile") as driver:
        driver.get(f"file://{run / 'report.html'}")
        dots = driver.find_elements("css selector", "#map .dot")
        assert len(dots) == len(gather(run).map["points"]) > 50
        driver.execute_script("arguments[0].dispatchEvent(new MouseEvent('click'))", dots[3])
        assert gather(run).map["points"][3][3] in driver.find_element("id", "detail").text


def test_programs_are_taken_apart_in_the_sandbox():
    codes = [
        "def f(n):\n    return 1 if n < 2 else n * f(n - 1)\ninput = {'n': 3}\noutput = f(**input)",
        "def g(m):\n    return 1 if m < 9 else m * g(m - 7)\ninput = {'m': 5}\noutput = g(**input)",
        "import sympy as sp\nprint([x for x in range(3)])",
        "def broken(:",
        "print('\ud800')",
        "(" * 5000,
    ]
    with Pool(workers=1) as pool:
        made = program_patterns(pool, codes)
        assert program_patterns(pool, ["def ("]) == {}
        assert program_patterns(pool, ["x = 1"] * 200)["commonest"] == 200
    assert made["programs"] == 3 and made["skeletons"] == 2 and made["commonest"] == 2
    assert made["patterns"] | {} == made["patterns"] and made["patterns"]["recursion"] == 2
    assert made["patterns"]["symbolic (sympy)"] == 1 and made["patterns"]["comprehension"] == 1
    assert made["patterns"]["while loop"] == 0


def test_histograms_share_bins_and_keep_outliers():
    made = kept_and_dropped([1, 2, 2, 3], [2, 3])
    assert made["kept"]["counts"] == [1, 2, 1] and made["dropped"]["counts"] == [0, 1, 1]
    wide = kept_and_dropped([*range(1000), 10**9], [])
    assert sum(wide["kept"]["counts"]) == 1001 and wide["kept"]["high"] < 1100 and wide["kept"]["max"] == 10**9
    assert kept_and_dropped([], []) == {}


def test_markdown_holds_the_figures_and_no_markup_of_rows(run):
    text = (run / "report.md").read_text()
    for step in read_run(run):
        assert f"| {step.rows:,} | {step.accepted:,} |" in text
    for reason in gather(run).reasons:
        assert reason in text
    outside = re.sub(r"(`{3,})\w+\n.*?\n\1", "", text, flags=re.DOTALL)
    assert "<img" not in outside and "</script>" not in outside


def test_json_in_the_page_survives_any_text():
    texts = ["</script><script>alert(1)</script>", "<!--", "\u2028\u2029", "a & b", "\x00\x1b", "é🧮"]
    written = script_json(texts)
    assert json.loads(written) == texts and "<" not in written and "&" not in written and "\u2028" not in written


def test_the_page_names_no_address_and_holds_no_template_marks(run):
    page = (run / "report.html").read_text()
    without_data = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\"'\s<>]+", without_data))
    assert addresses <= {"http://www.w3.org/2000/svg"}, addresses
    assert "$data" not in page and "$script" not in page


def test_the_page_works_in_a_browser(run, tmp_path):
    expected = gather(run)
    with chromium(tmp_path / "profile") as driver:
        driver.get(f"file://{run / 'report.html'}")
        assert driver.execute_script("return document.documentElement.dataset.ready") == "true"
        assert driver.get_log("browser") == []
        assert driver.title == "small: report", "a row's text changed the page"
        tiles = [tile.text.split("\n")[0] for tile in driver.find_elements("css selector", ".tile")]
        totals = expected.totals
        assert tiles[:4] == [str(totals[key]) for key in ("rows_in", "accepted", "rejected", "undecided")]
        bands = driver.find_elements("css selector", "#sankey path.band")
        assert len(bands) >= 4 + 5 and all(band.size["width"] > 0 for band in bands)
        assert len(driver.find_elements("css selector", "#funnel-table tbody tr")) == 5

        # Search: rows are found by the words in them, and the detail shows the row's receipt.
        row = next(row for row in expected.rows if row["verdict"] == "accepted")
        search = driver.find_element("id", "search")
        search.send_keys(row["id"])
        _wait(driver, lambda: driver.find_element("id", "hits").text == "1 row")
        detail = driver.find_element("id", "detail").text
        assert row["id"] in detail and row["receipts"][0]["stage"] in detail and "small-model@abc123" in detail
        assert row["code"].strip() in driver.execute_script("return document.getElementById('detail').textContent")

        # A hostile row is shown as the text it is.
        search.clear()
        search.send_keys("onerror")
        _wait(driver, lambda: driver.find_element("id", "hits").text not in ("1 row", "300 rows"))
        text = driver.execute_script("return document.getElementById('detail').textContent")
        assert HOSTILE in text and driver.title == "small: report"
        assert not driver.find_elements("css selector", "main img")

        # Filters and keys.
        search.clear()
        search.send_keys(" ")
        _wait(driver, lambda: driver.find_element("id", "hits").text == "300 rows")
        driver.execute_script("document.querySelector('.chip.undecided').click()")
        assert driver.find_element("id", "hits").text == f"{totals['undecided']} rows"
        driver.find_element("id", "list").send_keys("\ue015")  # arrow down
        selected = driver.find_elements("css selector", ".row[aria-selected=true]")
        assert len(selected) == 1 and "undecided" in selected[0].get_attribute("class")

        # A reason's bar leads to its rows.
        reason, steps = max(expected.reasons.items(), key=lambda item: sum(item[1].values()))
        driver.execute_script("document.querySelector('button.bar').click()")
        assert driver.find_element("id", "hits").text == f"{sum(steps.values())} rows"
        assert driver.find_element("id", "reason-filter").get_attribute("value") == reason
        assert driver.get_log("browser") == []


def test_light_and_dark(run, tmp_path):
    with chromium(tmp_path / "profile") as driver:
        driver.get(f"file://{run / 'report.html'}")
        colour = "return getComputedStyle(document.body).backgroundColor"
        before = driver.execute_script(colour)
        driver.find_element("id", "theme").click()
        assert driver.execute_script(colour) != before
        driver.find_element("id", "theme").click()
        assert driver.execute_script(colour) == before


def test_a_narrow_window_does_not_scroll_sideways(run, tmp_path):
    with chromium(tmp_path / "profile", width=500) as driver:
        driver.get(f"file://{run / 'report.html'}")
        wide, seen = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen


def test_five_thousand_rows_stay_in_a_virtual_list(tmp_path):
    folder = make_run(tmp_path / "large", 5000, shard_rows=2000)
    write_report(folder)
    with chromium(tmp_path / "profile") as driver:
        driver.get(f"file://{folder / 'report.html'}")
        assert driver.find_element("id", "hits").text == "5,000 rows"
        script = """
            const list = document.getElementById("list"), seen = [];
            for (let i = 0; i < 60; i++) {
                list.scrollTop = (list.scrollHeight - list.clientHeight) * i / 59;
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                seen.push(document.querySelectorAll(".row").length);
            }
            const last = [...document.querySelectorAll(".row")].at(-1).getBoundingClientRect();
            return [Math.max(...seen), Math.min(...seen), last.bottom - list.getBoundingClientRect().bottom];
        """
        most, least, beyond = driver.execute_script(f"return (async () => {{{script}}})()")
        # 5,000 rows cost what is in sight: a screenful of elements, at the top, in the middle and at the very end.
        assert 5 <= least <= most <= 40
        assert abs(beyond) < 2
        assert driver.get_log("browser") == []


def test_an_unfinished_run_has_a_report(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(copy / "verify")
    step = StepFolder(copy / "solve")
    step.write_manifest({**step.manifest(), "complete": False})
    write_report(copy)
    assert "the run is unfinished" in (copy / "report.md").read_text()
    assert "solve (so far)" in (copy / "report.md").read_text()


def test_an_evaluation_is_shown_as_a_table(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    step = StepFolder(copy / "evaluate")
    step.folder.mkdir()
    step.write_manifest({"stage": "evaluate", "complete": True, "inputs": [], "totals": {"rows": 40, "accepted": 40}})
    table = "| benchmark | n | base | tuned \\| x |\n|---|---:|---:|---:|\n| GSM8K | 40 | 5.0 | 7.5 <b>z</b> |\n"
    (step.folder / "comparison.md").write_text("# How they did\n\n" + table + "\nIntervals are Wilson's.\n")
    write_report(copy)
    assert table in (copy / "report.md").read_text()
    with chromium(tmp_path / "profile") as driver:
        driver.get(f"file://{copy / 'report.html'}")
        rows = driver.find_elements("css selector", "#evaluations tr")
        assert [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in rows][1][:2] == [
            "GSM8K",
            "40",
        ]
        assert "7.5 <b>z</b>" in rows[1].text
        assert driver.get_log("browser") == []


def _wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 10).until(lambda _: condition())

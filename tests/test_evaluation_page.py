"""The evaluation's page in a real headless Chromium: renders, filters, shows a response as text, asks for nothing outside."""

import json
from pathlib import Path

import pytest
import yaml
from browser import chromium

from caco_recipes import evaluate

TEXTS = [
    r"So $\boxed{4}$.",
    "<img src=x onerror=\"document.title='owned'\"> The answer is 7",
    r"\boxed{east}",
    "",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    problems = [
        {"id": i, "problem": f"Problem number {i}?", "answer": a} for i, a in enumerate(["4", "5", "west", "1"])
    ]
    (folder / "math.jsonl").write_text("".join(json.dumps(p) + "\n" for p in problems))
    rows = [
        {
            "stage": "evaluate",
            "subject": p["problem"],
            "text": t,
            "source": "made for this test",
            "licence": "Apache-2.0",
        }
        for p, t in zip(problems, TEXTS)
    ]
    (folder / "model.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "engine": {"engine": "recorded"},
        "benchmarks": ["math"],
        "data": {"math": str(folder / "math.jsonl")},
        "expected": {"math": 4},
        "paper_row": "Caco-1.3M-Qwen2.5-Math-7B",
    }
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe))
    evaluate.main(
        ["--config", str(folder / "r.yaml"), "--model", str(folder / "model.jsonl"), "--output", str(folder)]
    )
    return folder / "page.html"


def test_the_page_in_a_browser(page, tmp_path):
    with chromium(tmp_path) as driver:
        from selenium.webdriver.support.ui import WebDriverWait

        driver.get(page.as_uri())
        cards = driver.find_elements("css selector", "#items details")
        assert len(cards) == 3 and "3 found" in driver.find_element("id", "count").text
        assert driver.find_elements("css selector", "svg rect") and driver.find_elements("css selector", "svg .paper")
        search = driver.find_element("id", "search")
        search.send_keys("onerror")
        [card] = driver.find_elements("css selector", "#items details")
        card.find_element("css selector", "summary").click()
        wait = WebDriverWait(driver, 20)  # a card is filled when its toggle event comes
        wait.until(lambda _: len(card.find_elements("css selector", "pre")) >= 5)
        shown = [pre.text for pre in card.find_elements("css selector", "pre")]
        assert TEXTS[1] in shown and "5" in shown
        assert driver.title == "r"  # what the response says was not run
        search.clear()
        search.send_keys("no such text")
        assert not driver.find_elements("css selector", "#items details")
        assert [line for line in driver.get_log("browser") if line["level"] == "SEVERE"] == []

"""Decontamination indexes: what is found in which disguise, what is left alone, files, and the command."""

import json

import numpy as np
import pytest

from caco_recipes.cli import main
from caco_recipes.decontamination import Index, IndexFault, build, shipped_names
from caco_recipes.decontamination import tokens as tk

CLIPS = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May?"
)
FOUNTAIN = (
    "A fountain holds 1,250 litres and loses 37.5 litres every day. After how many days is it three quarters full?"
)
SHORT = "Simplify: $-10-4(n-5)$"
TINY = "Compute $\\sin 60^\\circ$."


@pytest.fixture(scope="module")
def index() -> Index:
    return Index.build("demo", [CLIPS, FOUNTAIN, SHORT, TINY], ["72", "8.33", "10-4n", "x"], ["clips", "f", "s", "t"])


def kinds(index: Index, text: str, answer=None) -> list[tuple[str, str]]:
    return [(match.item, match.kind) for match in index.match(text, answer)]


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$\\dfrac{1,000}{3}$", "\\frac{1000}3"),
        ("Three apples", "3 APPLES"),
        ("a  b\n c", "a b c"),
        ("$x \\times 2.50$", "x * 2.5"),
        ("ｆ(x)＝１", "f(x) = 1"),
        ("it's 7.", "it s 7"),
    ],
)
def test_layout_and_dressing_do_not_count(one: str, other: str) -> None:
    hashes = tk.whole(*tk.tokenise([one, other]))
    assert hashes[0] == hashes[1] != 0


@pytest.mark.parametrize(("one", "other"), [("1 2", "2 1"), ("x^2", "x^3"), ("2.5", "25"), ("a b", "ab"), ("x", "")])
def test_what_differs_differs(one: str, other: str) -> None:
    hashes = tk.whole(*tk.tokenise([one, other]))
    assert hashes[0] != hashes[1]


def test_a_batch_gives_what_single_texts_give() -> None:
    texts = [CLIPS, "", FOUNTAIN, None, "  ", SHORT, "\x1e", "数学 3 + 4"]
    tokens, starts = tk.tokenise(texts)
    for position, text in enumerate(texts):
        own, _ = tk.tokenise([text])
        assert tokens[starts[position] : starts[position + 1]].tolist() == own.tolist()
        assert tk.spans(text or "")[0] == own.tolist()
        assert tk.whole(tokens, starts)[position] == tk.whole(*tk.tokenise([text]))[0]
    for n in (1, 3, 5):
        own = [tk.runs(*tk.tokenise([text]), n)[0].tolist() for text in texts]
        assert tk.runs(tokens, starts, n)[0].tolist() == [run for runs in own for run in runs]


# -- matching ----------------------------------------------------------------------------------------------------------


def test_verbatim_edited_embedded_and_renumbered(index: Index) -> None:
    assert kinds(index, CLIPS) == [("clips", "whole")]
    assert kinds(index, CLIPS.upper().replace(" ", "\n")) == [("clips", "whole")]
    edited = CLIPS.replace("Natalia", "Marta").replace("altogether", "in total")
    assert kinds(index, edited) == [("clips", "runs")]
    inside = f"Here is a warm-up for the class. {CLIPS} Explain each step, and check the result with 2 methods."
    assert kinds(index, inside) == [("clips", "runs")]
    assert kinds(index, CLIPS.replace("48", "64")) == [("clips", "runs")]  # nearly all of its runs are still there
    longer = FOUNTAIN.replace("1,250", "800").replace("37.5", "12")
    assert [kind for _, kind in kinds(index, longer)] in (["similar"], ["changed_numbers"], [])


def test_the_span_is_the_part_that_matched(index: Index) -> None:
    text = f"Warm up first, please: {CLIPS} Explain each step."
    (match,) = index.match(text)
    assert match.span in text and match.span.startswith("Natalia sold clips") and "Explain" not in match.span
    assert (match.benchmark, match.item, match.certain) == ("demo", "clips", True)


def test_short_items_need_all_of_their_symbols(index: Index) -> None:
    assert kinds(index, "Simplify: -10 - 4 (n - 5)") == [("s", "whole")]
    assert kinds(index, "As a first exercise, simplify: -10-4(n-5). Then plot it.") == [("s", "runs")]
    assert kinds(index, "Simplify: -10-4(n-6)") == []
    assert kinds(index, "compute sin 60^circ") == [("t", "whole")]
    assert kinds(index, "First compute sin 60^circ and then cos 10^circ") == []  # too short to be sought inside a text


def test_numbers_and_answer_find_a_retold_problem(index: Index) -> None:
    retold = "Each day 37.5 of the 1250 litres in a basin drip away. When is only 3 fourths of it left?"
    assert kinds(index, retold, "8.33") == [("f", "numbers_answer")]
    assert not index.match(retold, "8.33")[0].certain
    assert kinds(index, retold, "9") == []
    assert kinds(index, retold) == []


@pytest.mark.parametrize(
    "text",
    ["", "What is the value of x such that x + 3 = 5?", "How many are there altogether?", "x" * 200_000, "求 x 的值"],
)
def test_generic_phrasing_is_left_alone(index: Index, text: str) -> None:
    assert kinds(index, text) == []


def test_other_scripts_match_too() -> None:
    text = "小明有 48 个苹果，他给了小红 17 个，然后又买了 25 个。小明现在一共有多少个苹果？"
    index = Index.build("cn", [text], ["56"])
    assert [match.kind for match in index.match("请回答：" + text + "谢谢")] == ["runs"]


def test_a_batch_matches_what_single_texts_match(index: Index) -> None:
    texts = [CLIPS, "", FOUNTAIN + " " + CLIPS, None, SHORT, "nothing here"] * 7
    assert index.match_all(texts) == [index.match(text or "") for text in texts]


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_keep_everything_and_no_text(index: Index, tmp_path) -> None:
    index.save(tmp_path / "one.npz")
    index.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    read = Index.load(tmp_path / "one.npz")
    assert read.match(CLIPS) == index.match(CLIPS)
    with np.load(tmp_path / "one.npz") as file:
        content = b"".join(file[name].tobytes() for name in file.files)
    assert b"friends" not in content and b"Natalia" not in content
    together = Index.together([read, Index.build("other", [CLIPS + " Really?"], ids=["o"])])
    assert together.match(CLIPS)[0].benchmark == "demo"
    assert {match.benchmark for match in together.match(CLIPS + " Really?")} == {"demo", "other"}


def test_a_damaged_or_missing_index_says_what_to_do(index: Index, tmp_path) -> None:
    index.save(tmp_path / "one.npz")
    content = (tmp_path / "one.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    for name in ("cut.npz", "gone.npz"):
        with pytest.raises(IndexFault, match=r"caco index|make it again"):
            Index.load(tmp_path / name)
    with pytest.raises(IndexFault, match="gsm8k"):
        Index.load("gsm8")


def test_an_empty_index_matches_nothing(tmp_path) -> None:
    index = Index.build("none", [""], [None])
    assert index.match(CLIPS) == [] and index.match("") == []


# -- shipped -----------------------------------------------------------------------------------------------------------


def test_shipped_indexes_are_those_of_the_manifest(root) -> None:
    manifest = json.loads((root / "caco_recipes/decontamination/indexes/manifest.json").read_text())
    entries = {entry["name"]: entry for entry in manifest["indexes"]}
    assert sorted(entries) == shipped_names() and {"math", "gsm8k", "olympiadbench", "aime25"} <= set(entries)
    for name in shipped_names():
        (stated,) = Index.load(name).sets
        assert {key: entries[name][key] for key in stated} == stated
        assert stated["source"] and stated["revision"] and stated["licence"]


def test_the_listing_says_of_which_file_an_index_was_made(shared, capsys) -> None:
    import hashlib

    assert main(["index", "--shipped"]) == 0
    listed = capsys.readouterr().out
    for name in shipped_names():
        assert name in listed
    for entry in build.shipped():
        digest = hashlib.sha256((shared / "data/benchmarks" / entry["file"]).read_bytes()).hexdigest()
        assert entry["file_sha256"] == digest and f"{entry['file']}, sha256 {digest}" in listed
        if entry["revision"].startswith("sha256:"):
            assert entry["revision"] == f"sha256:{digest}"


def test_shipped_indexes_find_their_own_items(shared) -> None:
    index = Index.load("all")
    for name, file in (("gsm8k", "gsm8k_test"), ("math", "math_test"), ("theoremqa", "theoremqa")):
        rows = [json.loads(line) for line in (shared / f"data/benchmarks/{file}.jsonl").open()][:200]
        found = index.match_all([row["problem"] for row in rows])
        assert all(name in {match.benchmark for match in matches if match.kind == "whole"} for matches in found)


# -- the command -------------------------------------------------------------------------------------------------------


def test_index_command_on_a_file(tmp_path, capsys) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps({"question": text, "target": 72}) + "\n" for text in (CLIPS, FOUNTAIN)))
    assert main(["index", "--data", str(data), "--output", str(tmp_path / "mine.npz")]) == 0
    assert "2 items" in capsys.readouterr().out
    match = Index.load(tmp_path / "mine.npz").match(CLIPS)[0]
    assert (match.benchmark, match.item) == ("mine", "0")
    assert main(["index", "--data", str(data), "--problem", "text"]) == 2
    assert "no column 'text'" in capsys.readouterr().err
    assert main(["index"]) == 2


def test_index_command_on_a_benchmark_and_a_training_set(tmp_path, shared, capsys) -> None:
    file = shared / "data/benchmarks/amc23.jsonl"
    assert main(["index", "amc23", "--data", str(file), "--output", str(tmp_path / "amc23.npz")]) == 0
    item = json.loads(file.open().readline())
    assert Index.load(tmp_path / "amc23.npz").match(item["problem"])[0].kind == "whole"
    rows = [{"instruction": item["problem"] + f" Give {n}.", "answer": "27", "code": ""} for n in range(50)]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "train.npz"
    assert main(["index", "--data", str(data), "--training_set", "--output", str(output)]) == 0
    assert len(Index.load(output).match(item["problem"])) >= 10  # many copies don't hide one another


# -- power -------------------------------------------------------------------------------------------------------------


def test_disguises_are_planted_and_measured() -> None:
    from caco_recipes.decontamination import power

    texts = [CLIPS.replace("friends", f"{word} friends") for word in ("old", "new", "two")] + [FOUNTAIN, SHORT]
    measured = power.measure(Index.build("demo", texts, ["72"] * 5), texts, ["72"] * 5)
    assert list(measured) == list(power.DISGUISES)
    assert measured["verbatim"] == {"items": 5, "found": 1.0, "borderline": 0.0}
    assert measured["inside a text"]["found"] == 1.0 and measured["other names"]["items"] == 3
    assert all(0 <= entry["found"] + entry["borderline"] <= 1 for entry in measured.values())


def test_the_stated_power_is_that_of_the_shipped_indexes(shared, root) -> None:
    from caco_recipes.decontamination import power
    from caco_recipes.json_lines import read_rows

    stated = json.loads(power.POWER.read_text())["benchmarks"]
    assert sorted(stated) == shipped_names()
    rows = list(read_rows(shared / "data/benchmarks/amc23.jsonl"))
    problems, answers = [row["problem"] for row in rows], [row["answer"] for row in rows]
    assert power.measure(Index.load("all"), problems, answers) == stated["amc23"]["disguises"]
    page = (root / "docs/trust.md").read_text()
    assert power.table() in page and power.clean_table() in page


def test_card_section_states_what_could_be_found() -> None:
    from caco_recipes.decontamination.power import card_section

    text = card_section(["gsm8k", "folder/mine.npz"])
    assert "| GSM8K |" in text and "OlympiadBench" not in text and "without a measured power: mine" in text
    assert "OlympiadBench" in card_section(["all"]) and card_section([]) == ""

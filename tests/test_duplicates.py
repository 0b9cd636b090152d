"""Duplicates among rows: text keys, MinHash against the truth and against datasketch, clusters, the dedup stage."""

import itertools
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caco_recipes import pipeline
from caco_recipes.dedup import Config
from caco_recipes.duplicates.clusters import Pairs, settle
from caco_recipes.duplicates.crowds import crowded_pairs
from caco_recipes.duplicates.light_edits import common_share
from caco_recipes.duplicates.minhash import checked, each_once, similar_pairs
from caco_recipes.duplicates.near_copies import NearCopies
from caco_recipes.duplicates.texts import Shingles, exact_key, masked_key
from caco_recipes.recipe import RecipeError
from caco_recipes.run_folder import RunError
from tests.stage_runs import dropped, kept, run_stages, write_json_lines


def shingles(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    found = Shingles()
    for begin in range(0, len(texts), 7):  # batches don't matter
        found.add(texts[begin : begin + 7])
    return found.finished()


def sets_of(texts: list[str]) -> list[set[int]]:
    hashes, starts = shingles(texts)
    return [set(hashes[starts[at] : starts[at + 1]].tolist()) for at in range(len(texts))]


def jaccard(one: set, other: set) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def found_pairs(texts: list[str], threshold: float) -> dict[tuple[int, int], float]:
    """Every pair that is implied: those found, and those of copies."""
    pairs = similar_pairs(*shingles(texts), threshold)
    of_first = {
        tuple(sorted(pair)): float(score)
        for *pair, score in zip(pairs.earlier.tolist(), pairs.later.tolist(), pairs.score, strict=True)
    }
    made = {}
    for a, b in itertools.combinations(range(len(texts)), 2):
        one, other = int(pairs.same[a]), int(pairs.same[b])
        if one == other:
            if shingle_sets_filled(texts[a]):
                made[a, b] = 1.0
        elif (key := tuple(sorted((one, other)))) in of_first:
            made[a, b] = of_first[key]
    return made


def shingle_sets_filled(text: str) -> bool:
    return bool(sets_of([text])[0])


def variations(problems: list[str], seed: int) -> list[str]:
    """Problems, and copies of them with one to six words changed, shuffled."""
    draw = random.Random(seed)
    texts = list(problems)
    for problem in problems:
        for changes in (0, 1, 2, 4, 6):
            words = problem.split()
            for _ in range(changes):
                words[draw.randrange(len(words))] = draw.choice(["pears", "17", "tomorrow", "x", "blue"])
            texts.append(" ".join(words))
    draw.shuffle(texts)
    return texts


@pytest.fixture(scope="module")
def problems(shared) -> list[str]:
    with (shared / "data/seeds/seeds_math.jsonl").open() as file:
        return [json.loads(line)["problem"] for line in itertools.islice(file, 0, 12_000, 200)]


# -- keys --------------------------------------------------------------------------------------------------------------


def test_text_keys() -> None:
    assert exact_key("Two  Apples\n") == exact_key("two apples") != exact_key("two apple")
    assert masked_key("It costs $1,250.50 now") == masked_key("it costs $3 now") != exact_key("it costs $3 now")
    assert exact_key("") == exact_key(" \n") == masked_key("") == 0
    assert masked_key("x1 = 2") == masked_key("x7 = 15")


# -- MinHash -----------------------------------------------------------------------------------------------------------


def test_pairs_are_true_and_hardly_one_is_missed(problems) -> None:
    texts = variations(problems, seed=1)
    sets = sets_of(texts)
    truth = {
        (a, b): score
        for a, b in itertools.combinations(range(len(texts)), 2)
        if (score := jaccard(sets[a], sets[b])) >= 0.7
    }
    found = found_pairs(texts, 0.7)
    assert all(found[pair] == pytest.approx(truth[pair], abs=1e-6) for pair in found)  # none is false
    missed = set(truth) - set(found)
    assert len(truth) > 300 and len(missed) <= 0.01 * len(truth)
    assert all(truth[pair] < 0.8 for pair in missed)


def test_nothing_is_found_that_datasketch_and_the_truth_do_not_know(problems) -> None:
    from datasketch import MinHash, MinHashLSH

    from caco_recipes.decontamination import tokens as tk

    texts = variations(problems[:30], seed=2)
    words = [[str(token) for token in tk.tokenise([text])[0]] for text in texts]
    sets = [{" ".join(row[at : at + 3]) for at in range(len(row) - 2)} for row in words]
    index = MinHashLSH(threshold=0.7, params=(32, 4))
    oracle: set[tuple[int, int]] = set()
    for number, members in enumerate(sets):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([member.encode() for member in members])
        for other in index.query(sketch):
            if jaccard(members, sets[int(other)]) >= 0.7:
                oracle.add((int(other), number))
        index.insert(str(number), sketch)
    found = set(found_pairs(texts, 0.7))
    assert len(oracle) > 100
    assert len(oracle - found) <= 0.01 * len(oracle) and len(found - oracle) <= 0.01 * len(oracle)


def test_estimates_follow_the_truth(problems) -> None:
    from caco_recipes.duplicates.minhash import BANDS, ROWS, _signatures

    texts = variations(problems[:20], seed=3)
    hashes, starts = shingles(texts)
    _, signatures = _signatures(hashes, starts, np.arange(len(texts)))
    sets = sets_of(texts)
    errors = []
    for a, b in itertools.combinations(range(len(texts)), 2):
        if (truth := jaccard(sets[a], sets[b])) > 0.1:
            agree = np.count_nonzero(signatures[a] == signatures[b]) / (BANDS * ROWS)
            errors.append((agree - 1 / 256) / (1 - 1 / 256) - truth)
    assert abs(np.mean(errors)) < 0.02 and np.std(errors) < 0.06 and len(errors) > 200


def test_odd_texts_have_no_pairs_or_true_ones() -> None:
    texts = ["", "a", "a", "a b", "b a", "", "!!!", "數學", "數學", "x " * 50_000, None]
    found = found_pairs([text or "" for text in texts], 0.7)
    assert set(found) == {(1, 2), (7, 8)}


TEMPLATES = {
    "other": "A shop sells {} pencils and {} books in one week. How many things did it sell in this week?",
    "alike": "A farmer keeps {} hens near the river, and every hen lays one egg on every day of the week but Sunday. He sells "
    "the eggs in town, twelve to a box. How many boxes does he sell in a year that has as many weeks as usual?",
}


def told(template: str, rows: int) -> list[str]:
    draw = random.Random(rows)
    return [TEMPLATES[template].format(draw.randrange(10**6), draw.randrange(10**6)) for _ in range(rows)]


@pytest.mark.parametrize("copies", [1, 2])
def test_a_crowd_of_one_template_is_settled_as_all_pairs_would(problems, copies) -> None:
    texts = told("alike", 150) + variations(problems[:20], seed=4) + told("other", 150) * copies
    random.Random(5).shuffle(texts)
    sets = sets_of(texts)
    pairs = similar_pairs(*shingles(texts), 0.7)
    truth = [
        (a, b) for a, b in itertools.combinations(range(len(texts)), 2) if sets[a] and jaccard(sets[a], sets[b]) >= 0.7
    ]
    for a, b, score in zip(pairs.earlier.tolist(), pairs.later.tolist(), pairs.score.tolist(), strict=True):
        assert jaccard(sets[a], sets[b]) == pytest.approx(score, abs=1e-6) and a < b
    assert len(set(zip(pairs.earlier.tolist(), pairs.later.tolist(), strict=True))) == len(pairs.score)
    every = Pairs(*(np.array(side) for side in zip(*truth, strict=True)), np.ones(len(truth)), np.arange(len(texts)))
    made = settle(len(texts), {}, {"minhash": pairs}, ["minhash"], [], none(len(texts)))
    expected = settle(len(texts), {}, {"minhash": every}, ["minhash"], [], none(len(texts)))
    assert np.mean((made.twin >= 0) == (expected.twin >= 0)) > 0.99
    alike = [at for at, text in enumerate(texts) if text.startswith("A farmer")]
    assert len(set(made.family[alike].tolist())) == 1 and (made.twin[alike] >= 0).sum() == 149
    assert len(pairs.score) < 0.2 * len(truth)


@pytest.mark.parametrize("template", ["other", "alike"])
def test_twice_as_many_rows_of_a_template_are_about_twice_the_work(template) -> None:
    compared = {}
    for rows in (1000, 2000):
        hashes, starts = shingles(told(template, rows))
        compared[rows] = 0

        def check(earlier, later, rows=rows, hashes=hashes, starts=starts):
            compared[rows] += len(earlier)
            return checked(hashes, starts, earlier, later, 0.7)

        found = list(crowded_pairs(hashes, starts, np.arange(rows), 0.7, check))
        if template == "alike":
            assert len(each_once(found)[0]) >= rows - 1
    assert compared[2000] <= 3 * compared[1000] + 100 and compared[2000] < 0.05 * 2000**2 / 2


# -- light edits -------------------------------------------------------------------------------------------------------

TANK = (
    "A water tank in the village of Norr holds 1250 litres when it is full. On Monday morning Elsa takes 340 litres out of "
    "the tank for her garden, and in the evening rain brings 75 litres back. How many litres are in the tank at night?"
)
EDITED = (
    TANK.replace("water ", "")
    .replace("morning", "early")
    .replace("brings", "gives")
    .replace("evening", "late evening")
)
RENAMED = TANK.replace("Elsa", "Kwame").replace("Norr", "Abetifi").replace("Monday", "Friday")
OTHER_QUESTION = TANK.replace(
    "How many litres are in the tank at night?", "What share of the tank did Elsa's garden get?"
)


def near(*texts: str) -> set[tuple[int, int]]:
    found = NearCopies()
    for text in texts:
        found.add([text])
    pairs = found.pairs(0.7)
    return set(zip(pairs.earlier.tolist(), pairs.later.tolist(), strict=True))


def test_light_edits_and_other_names_are_near_copies_and_another_question_is_not() -> None:
    edited = EDITED.replace("her", "the").replace("full", "filled").replace("takes", "pumps")
    assert all(jaccard(*sets_of([TANK, text])) < 0.7 for text in (edited, RENAMED, OTHER_QUESTION)), (
        "shingles don't do"
    )
    assert near(TANK, edited) == near(edited, TANK) == {(0, 1)}
    assert near(TANK, RENAMED) == {(0, 1)}
    assert near(TANK, OTHER_QUESTION) == set()
    assert common_share([1, 2, 3, 4] * 6, [1, 2, 3, 4] * 5 + [5, 6, 7, 8]) == 0  # what differs stands together


def test_other_numbers_or_too_few_of_them_are_no_light_edit() -> None:
    edited = EDITED.replace("her", "the").replace("full", "filled").replace("takes", "pumps")
    assert near(TANK, edited.replace("340", "430")) == set()
    swapped = edited.replace("340", "#").replace("75", "340").replace("#", "75")
    assert near(TANK, swapped) == set()  # the same numbers in another order
    few = [text.replace("1250", "9").replace("340", "2").replace("75", "3") for text in (TANK, edited)]
    assert near(*few) == set()


def test_planted_light_edits_and_names_are_found(shared) -> None:
    """Shares of docs/trust.md on fewer rows, with room for the draw."""
    from caco_recipes.decontamination.power import light_edit, other_names

    with (shared / "data/seeds/seeds_math.jsonl").open() as file:
        texts = [json.loads(line)["problem"] for line in itertools.islice(file, 0, 18_000, 40)]
    for disguise, least in ((light_edit, 0.78), (other_names, 0.78)):
        draw = random.Random(1)
        pairs = [(text, disguise(text, draw)) for text in texts if len(text.split()) >= 25]
        pairs = [pair for pair in pairs if pair[0] != pair[1]]
        found = near(*itertools.chain.from_iterable(pairs))
        assert np.mean([(2 * at, 2 * at + 1) in found for at in range(len(pairs))]) > least and len(pairs) > 60


def test_many_tellings_of_the_same_numbers(problems) -> None:
    """More rows than are compared each with each: the first stands for those that are like it."""
    draw = random.Random(3)
    words = "barrel field orchard stable market bridge harbour cellar".split()
    texts = []
    for _ in range(90):
        told = TANK.split()
        for at in draw.sample([at for at, word in enumerate(told) if word.isalpha()], 3):
            told[at] = draw.choice(words)
        texts.append(" ".join(told))
    found = near(*texts)
    reached = {0}
    for a, b in sorted(found):
        reached |= {a, b} if {a, b} & reached else set()
    assert reached == set(range(90))


# -- clusters ----------------------------------------------------------------------------------------------------------


def pairs(rows: int, *links: tuple[int, int]) -> Pairs:
    a, b = (np.array([link[end] for link in links], np.int64) for end in (0, 1))
    return Pairs(a, b, np.full(len(a), 0.8, np.float32), np.arange(rows))


def none(rows: int) -> np.ndarray:
    return np.zeros(rows, np.uint64)


def test_a_chain_keeps_what_differs_and_is_one_family() -> None:
    made = settle(4, {}, {"minhash": pairs(4, (0, 1), (1, 2))}, ["minhash"], [], none(4))
    assert made.twin.tolist() == [-1, 0, -1, -1]  # 2 is like 1 alone, which is gone
    assert made.family.tolist() == [0, 0, 0, 3]


def test_a_copy_of_a_rejected_row_is_rejected_too() -> None:
    links = pairs(4, (0, 1))
    links.same[2] = 1  # row 2 is the same as row 1, which is like row 0
    made = settle(4, {}, {"minhash": links}, ["minhash"], [], none(4))
    assert made.twin.tolist() == [-1, 0, 0, -1] and made.family.tolist() == [0, 0, 0, 3]


def test_levels_reject_families_only_link() -> None:
    keys = {"exact": np.array([5, 5, 6, 7], np.uint64), "masked": np.array([1, 1, 1, 0], np.uint64)}
    made = settle(4, keys, {}, ["exact"], ["masked"], none(4))
    assert made.twin.tolist() == [-1, 0, -1, -1] and made.family.tolist() == [0, 0, 0, 3]


def test_rows_of_earlier_steps_stay_and_variants_stay_apart() -> None:
    keys = {"exact": np.array([5, 5, 5, 6], np.uint64)}
    assert settle(4, keys, {}, ["exact"], [], none(4), fixed=2).twin.tolist() == [-1, -1, 0, -1]
    family = np.array([9, 9, 8, 0], np.uint64)
    made = settle(4, {"masked": keys["exact"]}, {}, ["masked"], [], family, apart=["masked"])
    assert made.twin.tolist() == [-1, -1, 0, -1]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_families_do_not_depend_on_the_order_of_rows(data) -> None:
    rows = data.draw(st.integers(1, 14))
    keys = {
        level: np.array(data.draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows)), np.uint64)
        for level in ("exact", "masked")
    }
    given_family = np.array(data.draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows)), np.uint64)
    order = np.array(data.draw(st.permutations(range(rows))))
    one = settle(rows, keys, {}, ["exact"], ["masked"], given_family)
    other = settle(rows, {k: v[order] for k, v in keys.items()}, {}, ["exact"], ["masked"], given_family[order])
    together = {frozenset(np.flatnonzero(one.family == root).tolist()) for root in set(one.family.tolist())}
    shuffled = {frozenset(order[other.family == root].tolist()) for root in set(other.family.tolist())}
    assert together == shuffled
    for made in (one, other):
        gone = np.flatnonzero(made.twin >= 0)
        assert all(made.twin[made.twin[row]] == -1 and made.twin[row] < row for row in gone)
        assert all(made.family[row] == made.family[made.twin[row]] for row in gone)


# -- the stage ---------------------------------------------------------------------------------------------------------

STORY = (
    "A baker fills 24 trays with 15 rolls each and sells all but 38 of the rolls before noon. How many rolls has the baker "
    "sold on this morning, if nobody brings any of them back?"
)
TEXTS = [
    STORY,
    "What is the sum of the first 12 odd numbers?",
    STORY.replace("24", "31").replace("15", "18").replace("38", "40"),  # masked
    STORY.replace("noon", "lunch"),  # minhash
    "what is the sum of the first 12 odd  numbers? ",  # exact
    "Find all primes between 50 and 70.",
]


def run(folder, texts=TEXTS, shard_rows=2, **keys) -> pipeline.Run:
    folder.mkdir(exist_ok=True)
    path = write_json_lines(folder / "seeds.jsonl", [{"problem": text, "answer": "1"} for text in texts])
    stages = {"seeds": {"sources": [{"path": str(path)}]}, "dedup": keys}
    return run_stages(folder, stages, shard_rows=shard_rows)


def reasons(made: pipeline.Run) -> dict[str, str]:
    return {row["problem"].strip(): row["reason"] for row in kept(made, "dedup") + dropped(made, "dedup")}


def test_each_level_says_what_it_found(tmp_path) -> None:
    made = run(tmp_path, levels=["exact", "masked", "minhash"])
    assert [reasons(made)[text.strip()] for text in TEXTS] == [
        "",
        "",
        "duplicate:masked",
        "duplicate:minhash",
        "duplicate:exact",
        "",
    ]
    ids = {row["problem"]: row["id"] for row in kept(made, "dedup")}
    twins = {row["reason"]: row["duplicate_of"] for row in dropped(made, "dedup")}
    assert twins["duplicate:masked"] == twins["duplicate:minhash"] == ids[STORY]
    families = {row["family_id"] for row in kept(made, "dedup") + dropped(made, "dedup")}
    assert len(families) == 3
    receipts = [json.loads(row["lineage"])[-1] for row in dropped(made, "dedup")]
    assert all(receipt["stage"] == "dedup" and receipt["duplicate_of"] for receipt in receipts)


def test_families_only(tmp_path) -> None:
    made = run(tmp_path, levels=[], families=["masked", "minhash"])
    assert dropped(made, "dedup") == []
    by_text = {row["problem"]: row["family_id"] for row in kept(made, "dedup")}
    assert by_text[STORY] == by_text[TEXTS[2]] == by_text[TEXTS[3]] != by_text[TEXTS[5]]


def test_one_shard_or_eight_and_a_lost_part_give_the_same_rows(tmp_path) -> None:
    texts = [f"{text} ({number % 3})" for number in range(4) for text in TEXTS]
    seen = []
    for shard_rows in (1, 3, 100):
        made = run(tmp_path / str(shard_rows), texts, shard_rows, levels=["exact", "minhash"], families=["masked"])
        seen.append((kept(made, "dedup"), dropped(made, "dedup")))
    assert seen[0] == seen[1] == seen[2] and len(seen[0][1]) >= 6
    made = run(tmp_path / "3", texts, 3, levels=["exact", "minhash"], families=["masked"])
    for lost in (0, 3):
        made.step_folder("dedup").part(lost).unlink()
    pipeline.run_steps(made)
    assert (kept(made, "dedup"), dropped(made, "dedup")) == seen[0]


def test_rows_that_are_the_same_in_everything_keep_the_first(tmp_path) -> None:
    """Two input steps may hand over one row twice."""
    path = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": text} for text in TEXTS[:2]])
    seeds = {"sources": [{"path": str(path)}]}
    stages = {"seeds": seeds, "dedup": {"input": ["seeds", "seeds"]}}
    made = run_stages(tmp_path, stages, shard_rows=1)
    assert [row["verdict"] for row in kept(made, "dedup")] == ["accepted"] * 2
    assert [row["reason"] for row in dropped(made, "dedup")] == ["duplicate:program"] * 2
    made.step_folder("dedup").part(2).unlink()
    pipeline.run_steps(made)
    assert len(kept(made, "dedup")) == len(dropped(made, "dedup")) == 2


def test_against_rows_count_as_seen_and_name_the_family(tmp_path) -> None:
    old = write_json_lines(tmp_path / "old.jsonl", [{"problem": STORY}])
    new = write_json_lines(tmp_path / "new.jsonl", [{"problem": text} for text in TEXTS[1:4]])
    stages = {
        "old": {"stage": "seeds", "sources": [{"path": str(old)}]},
        "new": {"stage": "seeds", "sources": [{"path": str(new)}]},
        "dedup": {"input": ["new"], "against": ["old"], "levels": ["minhash"], "families": ["masked"]},
    }
    made = run_stages(tmp_path, stages)
    (seen,) = kept(made, "old")
    (gone,) = dropped(made, "dedup")
    assert gone["duplicate_of"] == seen["id"] and gone["family_id"] == (seen["family_id"] or seen["id"])
    renumbered = next(row for row in kept(made, "dedup") if row["problem"] == TEXTS[2])
    assert renumbered["family_id"] == gone["family_id"]


def test_empty_texts_and_limits(tmp_path) -> None:
    made = run(tmp_path, levels=["exact", "minhash"], limit=5)
    assert len(kept(made, "dedup")) + len(dropped(made, "dedup")) == 5
    with pytest.raises(RunError, match=r"no column program_renamed.*program_keys"):
        run(tmp_path, levels=["renamed"])
    with pytest.raises(RunError, match="no column tale"):
        run(tmp_path, levels=["exact"], column="tale")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"levels": ["progam"]}, "program"),
        ({"levels": ["exact"], "families": ["exact"]}, "once"),
        ({"levels": []}, "name a level"),
        ({"levels": ["semantic"]}, "embedder"),
        ({"threshold": 0.1}, "between"),
    ],
)
def test_wrong_keys_are_refused(tmp_path, keys, message) -> None:
    with pytest.raises(RecipeError, match=message):
        run(tmp_path, **keys)


def test_semantic_pairs_are_all_pairs() -> None:
    from caco_recipes.duplicates.reading import near_pairs

    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(2500, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    config = Config(levels=["semantic"], embedder="x", semantic_threshold=0.999)
    found = near_pairs(vectors, config)
    truth = np.argwhere(np.triu(vectors @ vectors.T >= np.float32(0.999), 1))
    assert len(truth) > 50
    assert sorted(zip(found.earlier.tolist(), found.later.tolist(), strict=True)) == sorted(map(tuple, truth.tolist()))

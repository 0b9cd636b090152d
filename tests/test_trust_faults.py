"""Planted faults in a small seeded draw of real rows: stated minimums. The full tables: tests/benchmarks/check_trust.py."""

import pytest
import trust_faults as faults
import trust_measured as measured


@pytest.fixture(scope="module")
def boxes():
    with measured.Sandboxes(2) as open_boxes:
        yield open_boxes


@pytest.fixture(scope="module")
def rows(shared, boxes):
    return faults.executed(faults.good_programs(shared, 160, seed=5), boxes.pool)


def by_kind(found):
    return {one.kind: one for one in found}


def test_faults_of_programs(rows, boxes):
    plain = [row for row in rows if "sympy" not in row["code"] and "scipy" not in row["code"]][:40]
    found = by_kind(measured.in_programs(plain, boxes))
    assert found["untouched"].share("rejected") <= 5
    assert found["hard-coded answer"].share("rejected") >= 98
    assert found["hard-coded, disguised"].share("rejected") >= 95
    assert found["ignored input"].share("rejected") >= 95
    assert found["works for one input"].share("rejected") >= 95
    noise = [one for kind, one in found.items() if kind.startswith("non-determinism")]
    assert len(noise) == len(faults.NOISE) and all(one.share("rejected") >= 90 and one.total >= 10 for one in noise)
    assert all(one.verdicts["undecided"] == 0 for one in found.values())


def test_faults_of_problems(rows):
    found = by_kind(measured.in_problems(rows))
    assert found["untouched, mathematics"].total > 100
    assert found["untouched, mathematics"].share("rejected") <= 4
    assert found["untouched, mathematics"].share("accepted") >= 90
    assert found["changed number"].share("accepted") <= 6
    assert found["dropped condition"].share("accepted") <= 6
    assert found["swapped inputs"].share("accepted") <= 30 and found["swapped inputs"].share("rejected") >= 50
    assert found["… told by name"].share("rejected") >= 70 and found["… told by name"].share("accepted") <= 18


def test_blind_programs_of_other_authors(shared, boxes):
    drawn = faults.good_programs(shared, 1200, seed=5)
    seen: dict[str, list] = {}
    for row in drawn:
        seen.setdefault(" ".join(row["problem"].split()), []).append(row)
    pairs = [row for group in seen.values() if len(group) > 1 for row in group[:2] if "import" not in row["code"]][:30]
    found = by_kind(measured.blind(faults.executed(pairs, boxes.pool), boxes))
    assert found["untouched"].total >= 5 and found["untouched"].share("rejected") <= 20
    assert found["changed number"].share("rejected") >= 90
    assert found["changed constant"].total == 0 or found["changed constant"].share("rejected") >= 90

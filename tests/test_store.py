"""The pay-once store: what was stored is there after kills, flips, full disks and beside other writers."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from caco_recipes.generation import Completion, segment
from caco_recipes.generation.store import Store, StoreError, segments
from caco_recipes.generation.store_care import export, prune, show, verify


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def answer(number: int, finish_reason: str = "stop") -> Completion:
    text = f"answer {number} " + "x" * (number % 700)
    return Completion(text, finish_reason, prompt_tokens=3, completion_tokens=number % 50)


def filled(folder, count: int, start: int = 0, stage: str = "unify") -> None:
    with Store(folder) as store:
        for number in range(start, start + count):
            store.put(key(number), answer(number), stage=stage, model="m@1")


def test_what_was_put_is_there_in_another_process_of_the_store(tmp_path):
    odd = Completion("é😀\ud800\x00", "length", 1, 2, "", first_token_logprobs={"A": -0.25, "B": -1.5})
    filled(tmp_path, 1000)
    with Store(tmp_path) as store:
        store.put(key(5000), odd)
        assert store.get(key(5000)) == odd
    with Store(tmp_path) as store:
        assert len(store) == 1001
        assert all(store.get(key(n)) == answer(n) for n in range(1000))
        assert store.get(key(5000)) == odd
        assert store.get(key(1001)) is None and key(1001) not in store
        assert not store.damage and store.torn_bytes == 0


def test_a_second_answer_to_the_same_request_changes_nothing(tmp_path):
    with Store(tmp_path) as store:
        store.put(key(1), answer(1))
        store.put(key(1), answer(2))
        assert store.get(key(1)) == answer(1)
    assert Store(tmp_path).get(key(1)) == answer(1)


def test_records_move_from_the_recent_keys_to_the_sorted_table(tmp_path, monkeypatch):
    monkeypatch.setattr("caco_recipes.generation.store._RECENT_KEYS", 64)
    with Store(tmp_path) as store:
        for number in range(1000):
            store.put(key(number), answer(number))
        assert len(store._recent) < 64
        assert all(store.get(key(n)) == answer(n) for n in range(1000))


def test_a_segment_that_is_full_is_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr("caco_recipes.generation.store.SEGMENT_BYTES", 20_000)
    filled(tmp_path, 400)
    assert len(segments(tmp_path)) > 3
    store = Store(tmp_path)
    assert all(store.get(key(n)) == answer(n) for n in range(400))


@pytest.mark.parametrize("cut", [1, 10, segment.HEADER.size, segment.HEADER.size + 1])
def test_a_torn_last_record_is_ignored_and_counted(tmp_path, cut):
    filled(tmp_path, 10)
    path = segments(tmp_path)[0]
    offsets = [offset for offset, *_ in segment.records(path)]
    os.truncate(path, offsets[-1] + cut)
    store = Store(tmp_path)
    assert len(store) == 9
    assert store.torn_bytes == cut and not store.damage
    assert verify(tmp_path).torn_bytes == cut
    # The torn request is asked again, and stored beside.
    store.put(key(9), answer(9))
    store.close()
    assert Store(tmp_path).get(key(9)) == answer(9)


def test_every_flipped_bit_is_detected_and_no_other_record_is_lost(tmp_path):
    filled(tmp_path, 3)
    path = segments(tmp_path)[0]
    sound = path.read_bytes()
    offsets = [offset for offset, *_ in segment.records(path)]
    for position in range(offsets[1], offsets[2]):
        for bit in (0, 7):
            flipped = bytearray(sound)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            found = verify(tmp_path)
            assert found.records == 2, position
            assert len(found.damage) == 1, position
            assert found.damage[0].segment == path.name
            assert (found.damage[0].start, found.damage[0].end) == (offsets[1], offsets[2])
            store = Store(tmp_path)
            assert store.get(key(1)) is None
            assert store.get(key(0)) == answer(0) and store.get(key(2)) == answer(2)
            assert [damage.start for damage in store.damage] == [offsets[1]]
            if position >= offsets[1] + segment.HEADER.size:
                assert store.damage[0].key == key(1)
            store.close()


def test_a_damaged_answer_is_paid_for_again_and_found_from_then_on(tmp_path):
    filled(tmp_path, 3)
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with Store(tmp_path) as store:
        assert store.get(key(2)) is None
        store.put(key(2), answer(2))
        assert store.get(key(2)) == answer(2)
    assert Store(tmp_path).get(key(2)) == answer(2)


def _write_many(folder, start: int, count: int, together) -> None:
    with Store(folder) as store:
        together.wait()  # so that none has read what another wrote
        for number in range(start, start + count):
            store.put(key(number), answer(number))


def test_writers_in_several_processes_lose_nothing_and_see_each_other(tmp_path):
    reader = Store(tmp_path)
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    processes = [context.Process(target=_write_many, args=(tmp_path, n * 300, 400, together)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert reader.get(key(0)) is None
    assert reader.refresh() == 1000
    assert reader.refresh() == 0
    assert all(reader.get(key(n)) == answer(n) for n in range(1000))
    assert verify(tmp_path).superseded == 200  # two writers answered the same, once each


def test_a_forked_child_writes_a_segment_of_its_own(tmp_path):
    store = Store(tmp_path)
    store.put(key(0), answer(0))
    child = os.fork()
    if child == 0:
        store.put(key(1), answer(1))
        os._exit(0)
    store.put(key(2), answer(2))
    assert os.waitpid(child, 0)[1] == 0
    store.close()
    assert len(segments(tmp_path)) == 2
    again = Store(tmp_path)
    assert [again.get(key(n)) for n in range(3)] == [answer(n) for n in range(3)]


def test_a_sigkilled_writer_loses_nothing_that_put_returned_for(tmp_path):
    program = textwrap.dedent("""
        import sys
        from test_store import Store, answer, key
        store = Store(sys.argv[1])
        number = 0
        while True:
            store.put(key(number), answer(number))
            print(number, flush=True)
            number += 1
    """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    command = [sys.executable, "-c", program, str(tmp_path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    for line in writer.stdout:
        if int(line) == 2000:
            break
    writer.send_signal(signal.SIGKILL)
    said = 2000 + len(writer.stdout.read().splitlines())
    writer.wait()
    store = Store(tmp_path)
    assert all(store.get(key(n)) == answer(n) for n in range(said))
    assert not store.damage


def test_a_full_disk_is_a_clear_error_and_leaves_a_sound_store(tmp_path):
    program = textwrap.dedent("""
        import resource, sys
        from test_store import Store, StoreError, answer, key
        store = Store(sys.argv[1])
        store.put(key(0), answer(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
        stored = 1
        try:
            while True:
                store.put(key(stored), answer(stored))
                stored += 1
        except StoreError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.put(key(stored), answer(stored))  # room was made
        print(stored)
    """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, env=environment
    )
    message, stored = ran.stdout.splitlines()
    assert "full" in message and "make room" in message and "is kept" in message
    check = verify(tmp_path)
    assert check.records == int(stored) + 1 and not check.damage and check.torn_bytes == 0


def test_an_almost_full_disk_is_refused_before_anything_is_paid(tmp_path):
    with Store(tmp_path, reserve_bytes=1 << 60) as store, pytest.raises(StoreError, match="almost full"):
        store.check_writable()
    assert segments(tmp_path) == []


def test_a_read_only_store_reads_and_says_what_to_do_when_written():
    # /proc refuses new files to everybody, root too.
    with pytest.raises(StoreError, match=r"/proc/caco_store"):
        Store("/proc/caco_store")
    store = Store("/proc/self")
    assert len(store) == 0
    with pytest.raises(StoreError, match=r"read-only|No such file"):
        store.put(key(0), answer(0))


def test_a_table_of_offsets_saves_the_scan_and_is_never_trusted_blindly(tmp_path, monkeypatch):
    monkeypatch.setattr("caco_recipes.generation.store._INDEX_BYTES", 1)
    filled(tmp_path, 500)
    Store(tmp_path).close()
    path = segments(tmp_path)[0]
    table = path.with_suffix(".idx")
    assert table.exists()
    # With the table, the records' headers are not read: bytes that would be damage go unseen until they are asked for.
    data = bytearray(path.read_bytes())
    data[len(segment.MAGIC)] ^= 1
    path.write_bytes(data)
    store = Store(tmp_path)
    assert not store.damage and store.get(key(0)) is None and len(store.damage) == 1
    assert store.get(key(499)) == answer(499)
    # A damaged table is made anew.
    broken = bytearray(table.read_bytes())
    broken[60] ^= 1
    table.write_bytes(broken)
    store = Store(tmp_path)
    assert len(store) == 499 and len(store.damage) == 1


def test_show_counts_what_is_there(tmp_path):
    filled(tmp_path, 60, stage="unify")
    with Store(tmp_path) as store:
        for number in range(60, 70):
            store.put(key(number), answer(number, "length"), stage="solve", model="m@2")
    contents = show(tmp_path)
    assert contents.records == 70 and contents.segments == 2 and contents.superseded == 0
    assert contents.by_stage == {"unify": 60, "solve": 10}
    assert contents.by_model == {"m@1": 60, "m@2": 10}
    assert contents.by_finish_reason == {"stop": 60, "length": 10}
    assert contents.completion_tokens == sum(n % 50 for n in range(70))


def test_export_writes_every_record_as_json(tmp_path):
    filled(tmp_path / "store", 20)
    assert export(tmp_path / "store", tmp_path / "out.jsonl") == 20
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {row["key"]: row["text"] for row in rows} == {key(n): answer(n).text for n in range(20)}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_prune_removes_what_matches_everything_asked(tmp_path):
    with Store(tmp_path) as store:
        for number in range(40):
            reason = "error" if number % 4 == 0 else "stop"
            store.put(key(number), answer(number, reason), stage="unify" if number < 20 else "solve")
    other = Store(tmp_path)  # holds the old segment in its index, without having opened it
    pruned = prune(tmp_path, finish_reasons=["error"], stages=["unify"])
    assert (pruned.removed, pruned.kept, pruned.in_use) == (5, 35, [])
    assert pruned.freed_bytes > 0
    store = Store(tmp_path)
    assert [n for n in range(40) if store.get(key(n)) is None] == [0, 4, 8, 12, 16]
    assert other.get(key(39)) == answer(39) and other.get(key(0)) is None
    assert prune(tmp_path).removed == 0


def test_prune_drops_damaged_records_and_leaves_live_segments_alone(tmp_path):
    filled(tmp_path, 5)
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    live = Store(tmp_path)
    live.put(key(100), answer(100))
    pruned = prune(tmp_path, keys=[key(100)])
    assert pruned.damaged == 1 and len(pruned.in_use) == 1
    assert live.get(key(100)) == answer(100)
    assert verify(tmp_path).damage == [] and verify(tmp_path).records == 5


def test_a_prune_killed_half_way_leaves_every_record(tmp_path, monkeypatch):
    filled(tmp_path, 10)

    def killed(self, *arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        prune(tmp_path, keys=[key(0)])
    monkeypatch.undo()
    store = Store(tmp_path)
    assert all(store.get(key(n)) == answer(n) for n in range(10))

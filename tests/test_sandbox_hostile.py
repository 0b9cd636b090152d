"""Hostile programs: the shared corpus and our own, at strict and at standard, with what must hold for the host."""

import json
import os
import socket

import pytest
from hostile_kinds import KINDS
from hostile_programs import CANARY, PROGRAMS

from caco_recipes.sandbox import Limits, Pool
from caco_recipes.sandbox.codec import check, decode
from caco_recipes.sandbox.levels import why_not
from caco_recipes.verdicts import check_reason

SECRET = "hunter2-c4c0"
LIMITS = Limits(slow_cpu_seconds=None)


@pytest.fixture(params=["strict", "standard"])
def level(request):
    reason = why_not(request.param)
    if reason:
        pytest.skip(f"{request.param} is not to be had here: {reason}")
    return request.param


class Host:
    """What a program could have touched, looked at before and after."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        (folder / "canary").mkdir()
        (folder / "canary" / "file.txt").write_text("untouched")
        (folder / "secret").write_text(SECRET)
        monkeypatch.setenv("SECRET_TOKEN", SECRET)
        monkeypatch.setenv("CACO_CANARY_FILE", str(folder / "secret"))
        monkeypatch.chdir(folder / "canary")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.abstract = socket.socket(socket.AF_UNIX)
        try:
            self.udp.bind(("127.0.0.1", 53535))
            self.abstract.bind("\0caco_hostile_abstract")
            self.abstract.listen()
        except OSError:
            pass  # another test process has them: it watches them
        monkeypatch.setenv("CACO_LISTEN", str(self.tcp.getsockname()[1]))
        for listener in (self.tcp, self.udp, self.abstract):
            listener.setblocking(False)
        self.before = self.state()

    def state(self) -> dict:
        return {
            "tree": sorted((str(p), p.read_text()) for p in self.folder.rglob("*") if p.is_file()),
            "cwd": os.getcwd(),
            "tmp": sorted(name for name in os.listdir("/tmp") if name.startswith("caco_hostile")),
            "home": os.path.exists(os.path.expanduser("~/.caco_hostile_marker")),
            "shm": sorted(name for name in os.listdir("/dev/shm") if "caco" in name),
            "ipc": [open(f"/proc/sysvipc/{kind}").read() for kind in ("shm", "sem", "msg")],
            "priority": os.getpriority(os.PRIO_PROCESS, 0),
            "affinity": os.sched_getaffinity(0),
        }

    def check(self) -> None:
        assert self.state() == self.before
        for accept in (self.tcp.accept, lambda: self.udp.recv(10)):
            with pytest.raises(BlockingIOError):
                accept()


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def children_below(pid: int) -> set[int]:
    found, waiting = set(), [pid]
    while waiting:
        parent = waiting.pop()
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                for child in open(f"/proc/{parent}/task/{thread}/children").read().split():
                    found.add(int(child))
                    waiting.append(int(child))
        except OSError:
            pass
    return found


def record_size(result) -> int:
    return sum(len(text or "") for text in (result.input, result.output, result.output_text, result.stdout))


def test_the_shared_corpus(level, host, shared, capfd):
    folder = shared / "data/hostile"
    cases = json.loads((folder / "expected.json").read_text())["cases"]
    names = sorted(cases)
    sources = [(folder / f"{n}.py").read_bytes().decode("utf-8", "surrogateescape") for n in names]
    interleaved = [code for source in sources for code in (source, CANARY)]
    before = children_below(os.getpid())
    with Pool(4, LIMITS, isolation=level, rules="caco") as pool:
        results = list(pool.run(interleaved))
        assert pool.restarts == 0
        assert pool.run_one(CANARY).output == "5.0"
    assert len(results) == len(interleaved)
    assert children_below(os.getpid()) <= before
    host.check()
    printed = capfd.readouterr()
    assert printed.out == "" and "FLOOD" not in printed.err
    wrong = {}
    for name, result, canary in zip(names, results[::2], results[1::2]):
        if result.status not in cases[name]["expect"]:
            wrong[name] = result
        if (canary.status, canary.input, canary.output, canary.stdout) != ("ok", '{"n":3}', "5.0", "5.0\n"):
            wrong[name + " next"] = canary
        assert record_size(result) < 256 * 1024, name
        assert SECRET not in repr(result), name
        assert result.cpu_seconds < LIMITS.cpu_seconds + 0.5, name
        if result.reason == "timeout:wall":  # the others may be starved by the machine, however little they use
            assert result.wall_seconds < LIMITS.idle_of(1.0) + 1.5, name
        wanted = cases[name].get("check", {})
        if "output" in wanted:
            assert decode(result.output) == wanted["output"], name
        if "input" in wanted:
            assert decode(result.input) == wanted["input"], name
        if "output_if_ok" in wanted and result.ok:
            assert decode(result.output) == wanted["output_if_ok"], name
        if "rule" in wanted:
            rule = {"unused_input": "unused_input:spare", "output_none": "no_output"}.get(
                wanted["rule"], wanted["rule"]
            )
            assert result.rule_reason == rule, name
        if "unused" in wanted:
            assert list(result.unused) == wanted["unused"], name
        if "round_trip" in wanted:
            assert check(result.output) and decode(result.output) is not None, name
    assert not wrong


def test_programs_of_other_kinds(level, host, capfd):
    check_own(PROGRAMS, level, host, capfd)


@pytest.mark.parametrize("isolation", ["strict", "standard", "basic"])
def test_programs_of_still_other_kinds(isolation, host, capfd):
    if why_not(isolation):
        pytest.skip(why_not(isolation))
    check_own(KINDS, isolation, host, capfd)


def check_own(programs: dict, isolation: str, host: Host, capfd) -> None:
    """Each program ends as it may, the one behind it runs as ever, no server is lost, the host is as it was."""
    names = list(programs)
    interleaved = [code for name in names for code in (programs[name][1], CANARY)]
    before = children_below(os.getpid())
    with Pool(4, Limits(slow_cpu_seconds=None, idle_seconds=2.0), isolation=isolation) as pool:
        results = list(pool.run(interleaved))
        assert pool.restarts == 0
    assert children_below(os.getpid()) <= before
    host.check()
    assert capfd.readouterr().out == ""
    wrong = {}
    for name, result, canary in zip(names, results[::2], results[1::2]):
        if result.status not in programs[name][0]:
            wrong[name] = result
        check_reason(result.reason)
        if "HOLE" in (result.output or "") + result.stdout:
            wrong[name + " got through"] = result
        if (canary.status, canary.output, canary.stdout) != ("ok", "5.0", "5.0\n"):
            wrong[name + " next"] = canary
        assert record_size(result) < 256 * 1024, name
    assert not wrong


def test_a_forged_result_is_not_taken(level):
    with Pool(1, LIMITS, isolation=level) as pool:
        result = pool.run_one(PROGRAMS["forged_exit"][1])
    assert result.status == "error" and result.reason == "exception:exit" and result.output is None


def test_facts_noted_before_the_program_stay(level):
    """A program can't change its syntax verdict, its recorded literal input, nor the rules' view of it."""
    code = "input = {'n': 1, 'spare': 2}\nimport os\nfor fd in range(3, 200):\n    try:\n        os.write(fd, b'{}' * 50)\n    except OSError:\n        pass\nlist(map(str, [1]))\noutput = input['n']\n"
    with Pool(1, LIMITS, isolation=level, rules="caco") as pool:
        result = pool.run_one(code)
    assert result.input == '{"n":1,"spare":2}' and result.unused == ("spare",)


def test_one_endless_program_delays_nothing_behind_it(level):
    with Pool(2, Limits(slow_cpu_seconds=None, idle_seconds=600), isolation=level) as pool:
        sleeper = pool.submit("import time\ntime.sleep(1000)")
        looper = pool.submit("while True: pass")
        assert all(result.ok for result in pool.run([CANARY] * 40))
        assert looper.result().reason == "timeout:cpu"
        assert not sleeper.done()
        pool.close()
        assert sleeper.result().reason == "infrastructure:closed"


def test_a_sleeping_program_ends_at_its_idle_limit(level):
    with Pool(1, Limits(slow_cpu_seconds=None, idle_seconds=3), isolation=level) as pool:
        result = pool.run_one("import time\ntime.sleep(1000)")
    assert result.reason == "timeout:wall" and result.wall_seconds > 2.5


def test_nearly_asleep_is_no_way_to_hold_a_place(level):
    """Programs that use just too much of the CPU to be asleep: neither the server nor the programs behind them wait."""
    nearly = "import time\nwhile True:\n    end = time.perf_counter() + 0.0008\n    while time.perf_counter() < end: pass\n    time.sleep(0.02)"
    limits = Limits(cpu_seconds=0.2, slow_cpu_seconds=None, idle_seconds=1.0)
    with Pool(1, limits, isolation=level) as pool:
        pool.run_one(CANARY)
        held = [pool.submit(nearly) for _ in range(4)]
        assert all(result.ok for result in pool.run([CANARY] * 20))
        assert not any(future.done() for future in held)
        assert all(future.result(60).status == "timeout" for future in held)
        assert pool.restarts == 0


def test_no_text_of_a_program_breaks_a_file(level):
    codes = [
        "raise ValueError('\\ud800')",
        "input = {'\\ud800': 1}\n" + "x = 1\n" * 6 + "output = 2",
        "print('\\ud800')",
    ]
    with Pool(1, LIMITS, isolation=level, rules="caco") as pool:
        for result in pool.run([*codes, "x = '\ud800' ++"]):
            texts = [result.reason, result.output_text, result.stdout, result.exception_message, *result.unused]
            "".join([*texts, result.input or "", result.output or ""]).encode("utf-8")


@pytest.mark.parametrize("isolation", ["basic", "unsafe"])
@pytest.mark.filterwarnings("ignore:isolation 'unsafe'")
def test_lower_levels_run_and_limit(isolation):
    if why_not(isolation):
        pytest.skip(why_not(isolation))
    with Pool(1, LIMITS, isolation=isolation) as pool:
        assert pool.run_one(CANARY).output == "5.0"
        assert pool.run_one("while True: pass").status == "timeout"
        assert pool.run_one("x = bytearray(3 << 30)").status == "memory"
        if isolation == "basic":
            assert pool.run_one("import os\nos.fork()").status == "denied"
            assert pool.run_one("open('/tmp/caco_hostile_b', 'w')").status == "denied"
            assert pool.run_one("import socket\nsocket.socket()").status == "denied"

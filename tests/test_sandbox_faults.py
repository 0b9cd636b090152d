"""Faults of ours: killed processes, exhausted descriptors, a full disk; and the machines that lack features."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from dying_servers import servers_die
from hostile_programs import CANARY
from test_sandbox_hostile import children_below

from caco_recipes.sandbox import Limits, Pool, probe
from caco_recipes.sandbox.levels import why_not

pytestmark = pytest.mark.skipif(sys.platform != "linux" or bool(why_not("basic")), reason="needs Linux with seccomp")
LIMITS = Limits(slow_cpu_seconds=None)


def run_script(text: str, root, **options) -> subprocess.Popen:
    environment = dict(os.environ, PYTHONPATH=f"{root}{os.pathsep}{root}/tests")
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment, **options,
    )  # fmt: skip


def alive(pids) -> list[int]:
    found = []
    for pid in pids:
        try:
            if open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("level", ["strict", "standard"])
def test_when_the_parent_is_killed_nothing_survives(level, root):
    if why_not(level):
        pytest.skip(why_not(level))
    script = f"""
        from caco_recipes.sandbox import Pool, Limits
        pool = Pool(2, Limits(cpu_seconds=60, slow_cpu_seconds=None), isolation={level!r}).start()
        for code in ("while True: pass", "import time; time.sleep(1000)", "import sympy\\nwhile True: pass"):
            pool.submit(code)
        pool.run_one("x = 1")
        print("up", flush=True)
        import time; time.sleep(60)
    """
    process = run_script(script, root)
    assert process.stdout.readline() == "up\n"
    deadline = time.monotonic() + 20
    while len(children_below(process.pid)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    family = children_below(process.pid)
    assert len(family) >= 4
    process.kill()
    process.wait()
    deadline = time.monotonic() + 3
    while alive(family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(family) == []


def canaries(count: int) -> list[str]:
    """Programs that take some milliseconds, so that a kill among the first finds the others still to be run."""
    return [CANARY.replace("'n': 3", f"'n': {n}") + "\nspent = sum(range(300_000))\n" for n in range(count)]


def test_when_a_server_is_killed_its_programs_run_again():
    codes = canaries(300)
    with Pool(2, LIMITS) as pool:
        results = []
        for number, result in enumerate(pool.run(codes)):
            results.append(result)
            if number in (20, 120):
                servers = [w for group in pool._coordinator.workers.values() for w in group]
                os.kill(servers[0].process.pid, signal.SIGKILL)
        assert pool.restarts == 2
    assert [r.output for r in results] == [f"{n + 2}.0" for n in range(300)]


def test_when_forker_and_compiler_are_killed_programs_run_again():
    codes = canaries(200)
    with Pool(2, LIMITS) as pool:
        results = []
        for number, result in enumerate(pool.run(codes)):
            results.append(result)
            if number == 30:
                server = pool._coordinator.workers["plain"][0].process.pid
                for pid in children_below(server) - set(direct_children(server)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
    assert [r.output for r in results] == [f"{n + 2}.0" for n in range(200)]


def direct_children(pid: int) -> list[int]:
    return [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]


@pytest.mark.parametrize("level", ["strict", "standard", "basic"])
def test_without_a_compiler_the_forker_runs_in_python(level, monkeypatch):
    from caco_recipes.sandbox import native

    if why_not(level):
        pytest.skip(why_not(level))
    monkeypatch.setattr(native, "library", lambda: None)
    with Pool(2, LIMITS, isolation=level) as pool:
        results = list(pool.run([CANARY, "import os\nos.fork()", "while True: pass", "x = (", CANARY]))
        assert [r.status for r in results] == ["ok", "denied", "timeout", "error", "ok"]
        assert [r.output for r in pool.run_variants(CANARY, ['{"n":1}', '{"n":2}'])] == ["3.0", "4.0"]
        assert not pool._coordinator.workers["plain"][0].ready["native"]


def test_a_program_whose_server_always_dies_is_undecided(monkeypatch):
    with Pool(1, LIMITS) as pool:
        pool.run_one(CANARY)
        servers_die(pool, monkeypatch, "poison")
        result = pool.run_one("poison = 1")
        assert (result.status, result.verdict) == ("infrastructure", "undecided")
        assert result.reason.startswith("infrastructure:fork server lost")
        assert pool.run_one(CANARY).ok


def test_without_descriptors_programs_are_undecided_not_rejected(root):
    script = """
        import os, resource
        from caco_recipes.sandbox import Pool, Limits
        from hostile_programs import CANARY
        pool = Pool(1, Limits(slow_cpu_seconds=None)).start()
        assert pool.run_one(CANARY).ok
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        assert pool.run_one(CANARY).ok                       # the server that runs needs none of ours
        result = pool.run_one("import sympy\\noutput = 1")    # a new one would
        print(result.status, result.verdict, result.reason)
        for descriptor in taken:
            os.close(descriptor)
        print(pool.run_one("import sympy\\noutput = 1").status)
        pool.close()
    """
    process = run_script(script, root)
    out, _ = process.communicate(timeout=100)
    lines = out.splitlines()
    assert lines[0].startswith("infrastructure undecided infrastructure:no fork server"), out
    assert lines[1] == "ok", out


def test_without_processes_programs_are_undecided_or_run(root):
    """The fork server's own refusal: EAGAIN from fork."""
    if os.getuid() != 0:
        pytest.skip("needs a user of its own")
    script = """
        import os, resource
        os.setgid(65534); os.setuid(65534)
        from caco_recipes.sandbox import Pool, Limits, probe
        pool = Pool(1, Limits(slow_cpu_seconds=None), isolation="standard").start()
        first = pool.run_one("output = 1")
        server = pool._coordinator.workers["plain"][0].process.pid
        resource.prlimit(server, resource.RLIMIT_NPROC, (1, 1))
        result = pool.run_one("output = 1")
        print(first.status, result.status, result.verdict)
        pool.close()
    """
    if not readable_by_others():
        pytest.skip("the interpreter can't be read by another user here")
    out, _ = run_script(script, root).communicate(timeout=100)
    assert out.split() == ["ok", "infrastructure", "undecided"], out


def readable_by_others() -> bool:
    check = "import os; os.setgid(65534); os.setuid(65534); import sympy, numpy, ctypes, caco_recipes.sandbox"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, check=False).returncode == 0


def test_a_full_tmp_changes_nothing(root):
    """Nothing is kept in /tmp: with one that is full (and mounted over, for this process alone) all is as before."""
    if why_not("strict") or os.getuid() != 0:
        pytest.skip("needs a mount namespace of its own")
    if root.is_relative_to("/tmp") or Path(sys.prefix).is_relative_to("/tmp"):
        pytest.skip("this checkout lies in /tmp itself")
    script = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(0x00020000) == 0
        libc.mount(b"none", b"/", None, 16384 | (1 << 18), None)
        assert libc.mount(b"none", b"/tmp", b"tmpfs", 0, b"size=64k") == 0
        try:
            open("/tmp/full", "wb").write(bytes(1 << 20))
        except OSError:
            pass
        from caco_recipes.sandbox import Pool
        from hostile_programs import CANARY
        with Pool(1) as pool:
            print(pool.isolation, [r.status for r in pool.run([CANARY] * 3)])
    """
    out, _ = run_script(script, root).communicate(timeout=100)
    assert out == "strict ['ok', 'ok', 'ok']\n", out


SPINNER = """
import os, sys, time
try:
    os.setpriority(os.PRIO_PROCESS, 0, -19)
except PermissionError:
    pass  # then their number does it
sys.stdin.read()  # until the pipe closes
end = time.monotonic() + 4
while time.monotonic() < end:
    pass
"""


@pytest.mark.parametrize(
    "level", ["strict", *(pytest.param(name, marks=pytest.mark.slow) for name in ("standard", "basic"))]
)
def test_a_starved_program_is_not_taken_for_a_sleeping_one(level, root):
    """A program at the lowest priority on one core, beside two dozen others that have all of it for four seconds."""
    if why_not(level):
        pytest.skip(why_not(level))
    script = f"""
        import os, subprocess, sys, time
        from caco_recipes.sandbox import Pool, Limits
        os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
        release, gate = os.pipe()
        spinners = [subprocess.Popen([sys.executable, "-c", {SPINNER!r}], stdin=release) for _ in range(24)]
        os.close(release)
        os.nice(19)
        limits = Limits(cpu_seconds=30, slow_cpu_seconds=None, idle_seconds=1.0)
        with Pool(1, limits, isolation={level!r}) as pool:
            pool.run_one("output = 1")
            started = time.monotonic()
            future = pool.submit("n = 0\\nwhile n < 10**7:\\n    n += 1\\noutput = n")
            time.sleep(0.2)
            os.close(gate)
            result = future.result()
            print(result.status, result.reason, result.output, result.wall_seconds > 3)
            print(pool.run_one("import time\\ntime.sleep(1000)").reason, pool.restarts)
        print([spinner.wait() for spinner in spinners] == [0] * 24)
    """
    out, _ = run_script(script, root).communicate(timeout=300)
    assert out == "ok  10000000 True\ntimeout:wall 0\nTrue\n", out


def test_who_is_asleep_is_told_beside_processes_that_come_and_go():
    """A sleeper, one that computes and one that has ended, below a parent whose other children end all the time."""
    from caco_recipes.sandbox.asleep import is_asleep

    script = """
import os, time

def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid

print(child(lambda: time.sleep(100)), child(lambda: sum(iter(int, 1))), child(lambda: None), flush=True)
while True:
    for pid in [child(lambda: None) for _ in range(5)]:
        os.waitpid(pid, 0)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    sleeper, busy, ended = map(int, parent.stdout.readline().split())
    try:
        while not is_asleep(parent.pid, sleeper):  # it has a few steps to go until it sleeps
            time.sleep(0.01)
        assert not any(is_asleep(parent.pid, pid) for pid in (busy, ended, 1 << 22) for _ in range(200))
        assert sum(is_asleep(parent.pid, sleeper) for _ in range(200)) > 150
        assert is_asleep(1 << 23, sleeper)  # nothing to be seen: then the clock decides
    finally:
        for pid in (sleeper, busy, parent.pid):
            os.kill(pid, signal.SIGKILL)
        parent.wait()


def test_facts_that_find_no_room_are_a_fault_of_ours(root):
    """A user's pipes together are bounded; beyond that a pipe holds a page or two, and facts would be lost in it."""
    bound = Path("/proc/sys/fs/pipe-user-pages-soft")
    if why_not("strict") or not bound.exists() or not 0 < int(bound.read_text()) <= 16384:
        pytest.skip("needs a server without the right to exceed the bound on pipes")
    script = """
        import fcntl, os
        from caco_recipes.sandbox import Pool, Limits
        from hostile_programs import CANARY
        pipes = []
        for _ in range(80):
            pipes.append(os.pipe())
            try:
                fcntl.fcntl(pipes[-1][0], 1031, 1 << 20)
            except OSError:
                pass
        keys = [f"key{n}" for n in range(1000)]
        code = f"input = {dict.fromkeys(keys, 1)}\\noutput = 0\\n" + "".join(f"output += input['{key}']\\n" for key in keys)
        with Pool(1, Limits(slow_cpu_seconds=None), isolation="strict", rules="caco") as pool:
            (result,) = pool.run_variants(code, [str({key: 2 for key in keys}).replace("'", '"')])
            print(result.status, result.verdict, result.reason)
            print(pool.run_one(code).output, pool.run_one(CANARY).output, pool.restarts)
    """
    out, _ = run_script(script, root).communicate(timeout=100)
    assert out == "infrastructure undecided infrastructure:facts missing\n1000 5.0 0\n", out


def test_unprivileged(root):
    if os.getuid() != 0:
        pytest.skip("is the ordinary case then")
    if not readable_by_others():
        pytest.skip("the interpreter can't be read by another user here")
    script = """
        import os
        os.setgid(65534); os.setuid(65534)
        from caco_recipes.sandbox import Pool, probe
        from hostile_programs import CANARY, PROGRAMS
        with Pool(2) as pool:
            print(pool.run_one(CANARY).output, pool.isolation == probe().level, pool.run_one(PROGRAMS["signals"][1]).output)
    """
    out, _ = run_script(script, root).communicate(timeout=100)
    assert out == '5.0 True "refused"\n', out


def test_a_missing_feature_leads_to_the_next_level(root):
    """No user namespaces (as in default Docker): standard; asked for strict, the refusal says why."""
    if os.getuid() != 0 or why_not("strict") or not os.path.exists("/proc/sys/user/max_user_namespaces"):
        pytest.skip("needs the right to forbid namespaces to itself")
    script = """
        from caco_recipes.sandbox import confine, levels, seccomp
        import caco_recipes.sandbox.worker as worker
        plain = worker.environment
        # a parent that installs a filter against unshare: what a container's profile does
        import ctypes, struct
        libc = confine.libc()
        code = seccomp._op(0x20, 0) + seccomp._op(0x15, 272, 0, 1) + seccomp._op(0x06, 0x50001) + seccomp._op(0x06, 0x7FFF0000)
        confine.no_new_privs()
        confine.Filter(code).install()
        found = levels.probe()
        print(found.level, found.reasons["strict"])
        from caco_recipes.sandbox import Pool, IsolationError
        for options in ({"isolation": "strict"}, {"minimum_isolation": "strict"}):
            try:
                Pool(1, **options).start()
            except IsolationError as error:
                print(error)
        print(Pool(1).run_one("output = 1").isolation)
    """
    out, _ = run_script(script, root).communicate(timeout=100)
    lines = out.splitlines()
    assert lines[0].startswith("standard namespaces: unshare says EPERM"), out
    assert "'strict' is not to be had here: namespaces" in lines[1] and "below the required 'strict'" in lines[2], out
    assert lines[3] == "standard"


def test_elsewhere_it_imports_and_runs_at_unsafe_only(root):
    """Another system, as far as that can be shown here: no memfd, pidfd, prctl; auto refuses, unsafe says so and runs."""
    script = """
        import os, sys, warnings
        import sysconfig
        sysconfig.get_paths()  # reads a file named after the system
        sys.platform = "darwin"
        for name in ("memfd_create", "pidfd_open", "sched_getaffinity"):
            delattr(os, name)
        from caco_recipes.sandbox import Pool, IsolationError, Limits
        try:
            Pool(1).start()
        except IsolationError as error:
            print("unsafe" in str(error) and "darwin" in str(error))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Pool(1, Limits(slow_cpu_seconds=None), isolation="unsafe") as pool:
                print([r.status for r in pool.run(["output = 1", "while True: pass", "x = (", "import time\\ntime.sleep(0.2)"])])
        print(any("your own rights" in str(w.message) for w in caught))
    """
    out, _ = run_script(script, root).communicate(timeout=100)
    assert out == "True\n['ok', 'timeout', 'error', 'ok']\nTrue\n", out


def test_nothing_leaks():
    """Many programs: no process, descriptor or thread more than before; memory of the coordinator flat."""
    import resource
    import threading

    def state():
        return len(os.listdir("/proc/self/fd")), threading.active_count(), len(children_below(os.getpid()))

    before = state()
    with Pool(2, LIMITS) as pool:
        assert all(r.ok for _, r in pool.run_unordered(CANARY for _ in range(200)))
        first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert all(r.ok for _, r in pool.run_unordered(CANARY for _ in range(1500)))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first < 20_000
    assert all(after <= earlier for after, earlier in zip(state(), before))
    assert probe().level


@pytest.mark.slow
def test_a_hundred_thousand_programs(root):
    """In a process of its own, whose peak of memory is the pool's and no other test's."""
    script = """
        import resource
        from caco_recipes.sandbox import Pool
        from hostile_programs import CANARY
        with Pool(2) as pool:
            print(sum(r.ok for _, r in pool.run_unordered(CANARY for _ in range(100_000))), pool.restarts)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    out, _ = run_script(script, root).communicate(timeout=1200)
    first, megabytes = out.splitlines()
    assert first == "100000 0"
    assert int(megabytes) < 300

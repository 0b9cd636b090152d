"""From the fork server's reply to a `Result`: the trusted header decides, the program's bytes are read with care."""

import json
import os
import re
import signal

from caco_recipes.sandbox import codec, rules
from caco_recipes.sandbox.harness import RECORD
from caco_recipes.sandbox.results import Limits, Result, infrastructure
from caco_recipes.sandbox.worker import Reply
from caco_recipes.verdicts import verdict_of_status

CPU, IDLE = 1, 2  # why the fork server killed it
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_STATUSES = ("ok", "error", "memory", "output_limit", "denied", "infrastructure", "unscreened")


class Record:
    """What a program's process says of one run. Every field is checked; a malformed record is None."""

    __slots__ = ("detail", "input", "output", "status", "stdout_end", "text")

    def __init__(self, status: str, detail: str, captured: str, output: str, text: str, stdout_end: int):
        self.status, self.detail, self.input, self.output = status, detail, captured, output
        self.text, self.stdout_end = text, stdout_end


def split_records(data: bytes, limits: Limits, most: int) -> list[Record]:
    """The whole, well-formed records at the head of `data`, at most `most`."""
    found: list[Record] = []
    at = 0
    while len(found) < most and at + RECORD.size <= len(data):
        *lengths, stdout_end = RECORD.unpack_from(data, at)
        at += RECORD.size
        if at + sum(lengths) > len(data):
            break
        parts = []
        for length in lengths:
            parts.append(data[at : at + length].decode("utf-8", "backslashreplace"))
            at += length
        if parts[0] not in _STATUSES or len(parts[1]) > 8_000 or len(parts[4]) > limits.value_kb * 1024:
            break
        found.append(Record(*parts, stdout_end))
    return found


class Reader:
    """Makes results for one pool: its limits, its rules, its level."""

    def __init__(self, limits: Limits, rules_name: str | None, isolation: str, engine_version: str):
        self.limits, self.rules_name = limits, rules_name
        self.isolation, self.engine_version = isolation, engine_version
        self.bounds = codec.Bounds(limits.value_depth, limits.value_items, limits.value_digits, limits.value_kb * 1024)

    def single(self, reply: Reply) -> Result:
        """The result of a process that ran one program."""
        facts = self.facts(reply.facts)
        stdout, cut = self.stdout(reply.stdout, reply.stdout_size)
        measured = (reply.cpu, reply.wall, reply.peak_kb / 1024)
        if facts is not None and "syntax" in facts:
            line, _, message = str(facts["syntax"]).partition(":")
            return self.result(
                "error", "syntax_error", None, None, "", stdout, cut, measured, facts,
                exception=("SyntaxError", int(line) if line.isdecimal() and len(line) < 10 else 0, message),
            )  # fmt: skip
        records = split_records(reply.results, self.limits, 1)
        if facts is None and (records or reply.wait_status == 0):
            # they leave a process before its program runs: one that came to its end without them is a fault of ours
            return infrastructure("facts missing", self.isolation, self.engine_version)
        status, reason, exception = self.abnormal(reply, records)
        if status:
            written = facts.get("input") if facts else None
            return self.result(status, reason, written, None, "", stdout, cut, measured, facts, exception)
        return self.of_record(records[0], stdout, cut, measured, facts)

    def abnormal(self, reply: Reply, records: list[Record]) -> tuple[str, str, tuple]:
        """(status, reason, exception) when the process did not end by its own report; ("", "", ()) when it did."""
        code = os.waitstatus_to_exitcode(reply.wait_status)
        none = ("", 0, "")
        if reply.killed == CPU or code == -signal.SIGXCPU:
            return "timeout", "timeout:cpu", none
        if reply.killed == IDLE:
            return "timeout", "timeout:wall", none
        if code == -signal.SIGXFSZ or reply.stdout_size >= self.limits.stdout_limit_kb * 1024:
            return "output_limit", "output_limit:stdout", none
        if code == -signal.SIGSYS:
            return "denied", "denied:system call", none
        if code == -signal.SIGKILL:
            return "infrastructure", "infrastructure:killed from outside", none
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return "error", f"exception:{name}", (name, 0, "the process ended by a signal")
        if not records or code != 0:
            return "error", "exception:exit", ("exit", 0, f"the process left with code {code} without a result")
        return "", "", none

    def of_record(self, record: Record, stdout: str, cut: bool, measured: tuple, facts: dict | None) -> Result:
        written = (facts or {}).get("input")
        if written is None:
            written = self.checked(record.input)
        if record.status == "unscreened":  # said of shared programs only, never by one that runs alone
            return self.forged(written, stdout, cut, measured, facts)
        if record.status != "ok":
            name, line, message, what = self.detail(record.detail)
            reason = {
                "error": f"exception:{name}",
                "memory": "memory",
                "denied": f"denied:{what or name}",
                "output_limit": f"output_limit:{record.detail if record.detail.isalpha() else 'stdout'}",
                "infrastructure": f"infrastructure:{name}",
            }[record.status]
            exception = (name, line, message)
            if record.status == "output_limit":
                exception = ("", 0, "")
            return self.result(record.status, reason, written, None, "", stdout, cut, measured, facts, exception)
        output, text, source = self.checked(record.output), record.text, "variable"
        if record.output and output is None:
            return self.forged(written, stdout, cut, measured, facts)
        if output is None:
            output, text, source = last_line(stdout)
        return self.result("ok", "", written, output, text, stdout, cut, measured, facts, source=source)

    def forged(self, written, stdout, cut, measured, facts) -> Result:
        return self.result(
            "error", "exception:Forged", written, None, "", stdout, cut, measured, facts,
            ("Forged", 0, "the result is not well formed"),
        )  # fmt: skip

    def result(
        self, status, reason, written, output, text, stdout, cut, measured, facts, exception=("", 0, ""), source=""
    ) -> Result:  # fmt: skip
        verdict, rule_reason, unused, lines = verdict_of_status(status), "", (), 0
        if self.rules_name and (status == "ok" or (facts or {}).get("rules") is not None):
            try:
                found = rules.CUT if facts.get("cut") is True else facts["rules"]
                unused, lines = rules.unused_keys(found, written), found["lines"]
                if type(lines) is not int or not 0 <= lines < 1 << 32:
                    raise ValueError("lines")
                if status == "ok" and found.get("cut"):
                    rule_reason = "too_large:facts"
                elif status == "ok":
                    rule_reason = rules.verdict(lines, unused, written, output, text)
            except (LookupError, TypeError, ValueError, AttributeError):
                # not what the compiler process writes, unless a source has corrupted it: no verdict on such facts
                return infrastructure("malformed facts", self.isolation, self.engine_version)
            if rule_reason:
                verdict, reason = "rejected", rule_reason
        cpu, wall, peak = measured
        name, number, message = exception
        return Result(
            status, printable(reason), verdict, written, output, text, source, stdout, cut, name, number,
            printable(message),
            round(cpu, 6), round(wall, 6), round(peak, 3), self.isolation, self.engine_version, rule_reason,
            tuple(map(printable, unused)), lines,
        )  # fmt: skip

    def stdout(self, data: bytes, size: int) -> tuple[str, bool]:
        kept = data[: self.limits.stdout_kb * 1024]
        return kept.decode("utf-8", "replace"), size > len(kept)

    def facts(self, data: bytes) -> dict | None:
        """The facts noted before the program ran: ours, but about hostile text; so read as strictly as anything."""
        if not data:
            return None
        try:
            text = data.decode("ascii")
            head = '{"input":'
            found = json.loads(text)
            if type(found) is not dict:
                return None
            if found.get("input") is not None and text.startswith(head):
                # the tagged text itself, not what the JSON reader made of it
                end = text.rindex(',"rules":') if "rules" in found else len(text) - 1
                found["input"] = self.checked(text[len(head) : end])
            return found
        except (ValueError, RecursionError):
            return None

    def checked(self, text: str) -> str | None:
        if not text:
            return None
        try:
            return codec.check(text, self.bounds)
        except codec.NotTagged:
            return None

    def detail(self, text: str) -> tuple[str, int, str, str]:
        try:
            name, line, message, what = json.loads(text)
            if type(line) is not int or type(message) is not str or what not in _WHATS:
                raise ValueError
            return (name if _NAME.match(name) else "Exception"), line, message[:500], what
        except (ValueError, TypeError, RecursionError):
            return "Exception", 0, "", ""


_WHATS = ("", "file", "network", "process", "operation")


def printable(text: str) -> str:
    """`text` with lone surrogates, which no file takes, written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def last_line(stdout: str) -> tuple[str | None, str, str]:
    """What a program without `output` printed last: (tagged text, text, "stdout"), or nothing."""
    for line in reversed(stdout.split("\n")):
        if line.strip():
            return json.dumps(line.strip()), line.strip(), "stdout"
    return None, "", ""

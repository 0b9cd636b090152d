"""What happens inside the confined process of a program: parse, note the facts, run, encode, leave.

Loaded by the fork server, run by its children. Order matters: everything that a program must not be able to change
(syntax verdict, literal `input`, facts for the rules) has left the process before its first line runs.
What is written afterwards is the program's own word: it can lie about itself, never about another.

The functions here see a private copy of `builtins`, so a program that patches those changes nothing.
"""

import ast
import builtins
import gc
import marshal
import opcode
import os
import struct
import sys
import types

FILE_NAME = "<program>"
CAPTURE = "@capture"  # not an identifier: no program has this name by accident
RECORD = struct.Struct("<6I")  # lengths of: status, detail, input, output, text, stdout so far
FRAME = struct.Struct("<I?")  # to the compiler: length of the text, rules wanted
PAIR = struct.Struct("<IIB")  # from it: lengths of facts and code, what is known of `input`
UNKNOWN, LITERAL, CAUGHT = range(3)  # nothing; written down in the facts; caught when the program assigns it
FACTS_BYTES = 256 * 1024  # what the pipe for the facts holds at least
MAX_DIGITS = 1_000_000  # of an int made into text; the CPU limit comes first
FRAMES = 1000  # the interpreter's own recursion limit
EXEC_FRAMES = 1 if sys.version_info < (3, 12) else 0  # before 3.12 the call of exec(), or of a C function, counts too
RAISE = opcode.opmap["RAISE_VARARGS"]
MISSING = object()
# bound now: a program may put others into `sys`
set_trace, set_profile, set_limit, set_digits = (
    *(sys.settrace, sys.setprofile, sys.setrecursionlimit, sys.set_int_max_str_digits),
)


class Harness:
    """Runs programs in this process. One per fork server, made before the fork; all it needs is loaded by then."""

    def __init__(self, encoder, too_large: type, facts_of, screen, stdout, text_limit: int, results: int):
        self.encoder = encoder
        self.too_large = too_large
        self.facts_of = facts_of
        self.screen = screen
        self.stdout = stdout
        self.text_limit = text_limit
        self.results, self.exit_now = results, os._exit
        self.captured = MISSING
        self.known = UNKNOWN

    # ------------------------------------------------------------------------------------------ before the program

    def parse(self, source: str):
        """(tree, "") or (None, what is wrong). The recursion limit is the ordinary one here."""
        if source[:1] == "\ufeff":
            source = source[1:]
        try:
            return ast.parse(source, FILE_NAME), ""
        except SyntaxError as error:
            return None, f"{error.lineno or 0}:{error.msg}"
        except (ValueError, OverflowError) as error:
            return None, f"0:{error}"
        except (RecursionError, MemoryError):
            return None, "0:too complex to parse"

    def prepare(self, source: str, want_rules: bool, tree: ast.Module | None = None):
        """(code, facts text): compiles, records a literal `input` as written, collects the facts for the rules."""
        tree, wrong = self.parse(source) if tree is None else (tree, "")
        if tree is None:
            return None, '{"syntax":' + self._quoted(wrong) + "}"
        literal = self.literal_input(tree)
        facts = ""
        if want_rules:
            facts = ',"rules":' + self.facts_of(source, tree)
        try:
            code = compile(tree, FILE_NAME, "exec", dont_inherit=True)
        except SyntaxError as error:
            return None, '{"syntax":' + self._quoted(f"{error.lineno or 0}:{error.msg}") + "}"
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return None, '{"syntax":' + self._quoted(f"0:{type(error).__name__}") + "}"
        return code, '{"input":' + (literal or "null") + facts + "}"

    def _quoted(self, text: str) -> str:
        return self.encoder.encode(text[:500])

    def literal_input(self, tree: ast.Module) -> str:
        """The tagged text of `input` when the module assigns it once, as a literal; otherwise has it caught at run time."""
        found = list(input_assignments(tree))
        self.known = CAUGHT if found else UNKNOWN
        if not found:
            return ""
        if len(found) == 1 and found[0].value is not None:
            try:
                text = self.encoder.encode(ast.literal_eval(found[0].value))
                self.known = LITERAL
                return text
            except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError, self.too_large):
                pass
        for node in found:
            if node.value is not None:
                name = ast.copy_location(ast.Name(CAPTURE, ast.Load()), node.value)
                node.value = ast.copy_location(ast.Call(name, [node.value], []), node.value)
        return ""

    def capture(self, value):
        """Called by the program's own `input = …`: encodes the value before anything can change it."""
        try:
            self.captured = self.encoder.encode(value)
        except self.too_large:
            self.captured = None
        return value

    # ------------------------------------------------------------------------------------------ the program

    def run(self, code, variant=MISSING, known: int = UNKNOWN) -> tuple[str, str, str, str, str]:
        """Runs compiled code as `__main__`; (status, detail, input, output, output text), texts empty when absent."""
        self.captured = MISSING
        module = types.ModuleType("__main__")
        names = module.__dict__
        names["__builtins__"] = builtins
        sys.modules["__main__"] = module
        if variant is not MISSING:
            builtins.__dict__[CAPTURE] = lambda _: variant
            known = LITERAL
        else:
            builtins.__dict__[CAPTURE] = self.capture
        sys.setrecursionlimit(frames())
        error = None
        try:
            exec(code, names)
        except BaseException as caught:
            error = caught
        # before anything else of ours runs: the program may have left a tracer or a tiny limit behind
        set_trace(None)
        set_profile(None)
        set_limit(2 * FRAMES)
        return self.outcome(names, error, known == LITERAL)

    def outcome(
        self, names: dict, error: BaseException | None, input_known: bool, flushed: object = MISSING
    ) -> tuple[str, str, str, str, str]:
        """What `run` returns, from what the program has left behind; `flushed` is None or an error when that is done."""
        status, detail = "ok", ""
        if isinstance(error, SystemExit):
            if error.code not in (None, 0) or "output" not in names:
                status, detail = "error", self.describe(error)
        elif error is not None:
            status, detail = self.classify(error), self.describe(error)
        if flushed is MISSING:
            try:
                self.stdout.flush()
                flushed = None
            except BaseException as caught:
                flushed = caught
        if flushed is not None and status == "ok":
            status, detail = self.classify(flushed), self.describe(flushed)
        set_digits(MAX_DIGITS)
        captured = "" if self.captured is MISSING else self.captured or ""
        if status != "ok":
            return status, detail, captured, "", ""
        output = names.get("output", MISSING)
        if self.captured is MISSING and not input_known and "input" in names:
            try:
                captured = self.encoder.encode(names["input"])
            except BaseException:
                captured = ""
        if output is MISSING:
            return status, detail, captured, "", ""
        try:
            return status, detail, captured, self.encoder.encode(output), self.text_of(output)
        except self.too_large as error:
            return "output_limit", str(error), captured, "", ""
        except BaseException as error:
            return self.classify(error), self.describe(error), captured, "", ""

    def text_of(self, output) -> str:
        """What `print(output)` shows, cut to the limit."""
        if type(output) is str:
            return output[: self.text_limit]
        try:
            text = str(output)
            return str.__str__(text)[: self.text_limit]
        except MemoryError:
            raise
        except BaseException:
            return ""

    def classify(self, error: BaseException) -> str:
        """The status that an uncaught exception stands for."""
        if isinstance(error, MemoryError):
            return "memory"
        if isinstance(error, OSError):
            number = error.errno
            if number in (1, 13, 30, 38):  # EPERM, EACCES, EROFS, ENOSYS: the sandbox said no
                return "denied"
            if number == 27:  # EFBIG
                return "output_limit"
            if number in (23, 28, 122) and not raised_by_program(error):  # ENFILE, ENOSPC, EDQUOT: the machine
                return "infrastructure"
        return "error"

    def describe(self, error: BaseException) -> str:
        """Type, line and message of an exception as tagged JSON; calls its `__str__` only under guard."""
        line, where = 0, ""
        try:
            trace = error.__traceback__
            while trace is not None:
                where = trace.tb_frame.f_code.co_filename
                if where == FILE_NAME:
                    line = trace.tb_lineno
                trace = trace.tb_next
            name = type.__dict__["__name__"].__get__(type(error))
            message = safe_message(error)
            file_name = error.filename if isinstance(error, OSError) else None
            what = denied_what(where, message, file_name)
            return self.encoder.encode([name, line, message, what])
        except BaseException:
            return '["Exception",0,"",""]'

    # ------------------------------------------------------------------------------------------ the process's main

    def main_compiled(self, code: bytes, known: int, nonce: bytes, results: int) -> None:
        """One program in this process, compiled by the server's compiler process."""
        os.write(results, nonce + record(*self.run(marshal.loads(code), known=known)))

    def finish(
        self, names: dict, error: BaseException | None, nonce: bytes, input_known: bool, flushed: object
    ) -> None:
        """The end of a program that program.c has run: called by it for all but the plainest. Never returns."""
        os.write(self.results, nonce + record(*self.outcome(names, error, input_known, flushed)))
        self.exit_now(0)

    def main_single(self, source: str, want_rules: bool, facts_to: int, nonce: bytes, results: int) -> None:
        """One program in this process, from its text: when the compiler process could not do it."""
        code, facts = self.prepare(source, want_rules)
        publish(facts_to, facts)
        if code is not None:
            os.write(results, nonce + record(*self.run(code)))

    def main_compiler(self, channel) -> None:
        """Compiles programs, never runs one: (rules?, text) in, (facts, code) out, until the channel closes."""
        while True:
            head = read_exactly(channel, 5)
            if len(head) < 5:
                return
            length, want_rules = FRAME.unpack(head)
            source = read_exactly(channel, length).decode("utf-8", "surrogatepass")
            code, facts = self.prepare(source, want_rules)
            compiled = b"" if code is None else marshal.dumps(code)
            facts = facts.encode("ascii")
            channel.sendall(PAIR.pack(len(facts), len(compiled), self.known) + facts + compiled)

    def main_variants(
        self, source: str, variants: list, want_rules: bool, facts_to: int, nonce: bytes, results: int
    ) -> None:
        """One program on many inputs: `input = …` is replaced by each decoded value in turn, in fresh globals."""
        tree, wrong = self.parse(source)
        facts = '{"input":null}'
        if tree is None:
            facts = '{"syntax":' + self._quoted(wrong) + "}"
        elif want_rules:
            facts = '{"input":null,"rules":' + self.facts_of(source, tree) + "}"
        publish(facts_to, facts)
        if tree is None:
            return
        for node in input_assignments(tree):
            name = ast.copy_location(ast.Name(CAPTURE, ast.Load()), node)
            node.value = ast.copy_location(ast.Call(name, [ast.copy_location(ast.Constant(None), node)], []), node)
        code = compile(tree, FILE_NAME, "exec", dont_inherit=True)
        os.write(results, nonce)
        for decoded in variants:
            status, detail, _, output, text = self.run(code, decoded)
            os.write(results, record(status, detail, "", output, text, os.lseek(1, 0, os.SEEK_CUR)))

    def main_shared(self, sources: list, want_rules: bool, facts_to: int, nonce: bytes, results: int, reset) -> None:
        """Several screened programs in this process, one after the other; one that the screen refuses is not run."""
        publish(facts_to, "{}")
        os.write(results, nonce)
        for source in sources:
            tree, _ = self.parse(source)
            refused = "syntax" if tree is None else self.screen(tree)
            if refused:
                os.write(results, record("unscreened", refused, "", "", "", 0))
                continue
            code, facts = self.prepare(source, want_rules, tree)
            if code is None:
                os.write(results, record("unscreened", "syntax", "", "", "", 0))
                continue
            reset()
            status, detail, _, output, text = self.run(code)
            os.write(results, record(status, detail, facts, output, text, os.lseek(1, 0, os.SEEK_CUR)))


def input_assignments(tree: ast.Module):
    """Every `input = …` of the module's own scope, also below `if`, `try`, `with` and loops, in source order."""
    waiting = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is ast.Assign:
            if any(type(target) is ast.Name and target.id == "input" for target in node.targets):
                yield node
        elif kind is ast.AnnAssign:
            if type(node.target) is ast.Name and node.target.id == "input":
                yield node
        elif kind in _BLOCKS:
            below = []
            for field in ("body", "handlers", "orelse", "finalbody"):
                below += getattr(node, field, ())
            waiting.extend(reversed(below))


_BLOCKS = frozenset((ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler))


def frames() -> int:
    """The recursion limit that gives a program run by the caller as many frames as an interpreter of its own does."""
    frame, count = sys._getframe(1), FRAMES + EXEC_FRAMES
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def publish(facts_to: int, facts: str) -> None:
    """Hands the facts to the fork server, which reads this first frame only: nothing written later changes it."""
    data = facts.encode("ascii")
    if len(data) + 4 > FACTS_BYTES:
        data = b'{"input":null,"cut":true}'
    try:
        os.write(facts_to, struct.pack("<I", len(data)) + data)
    except BlockingIOError:  # nor does a shorter write count: the server takes whole facts only
        pass
    os.close(facts_to)


def read_exactly(channel, length: int) -> bytes:
    """`length` bytes from a socket, fewer when it closes."""
    parts = b""
    while len(parts) < length:
        part = channel.recv(length - len(parts))
        if not part:
            break
        parts += part
    return parts


def record(status: str, detail: str, captured: str, output: str, text: str, stdout: int = 0) -> bytes:
    parts = [
        status.encode("ascii"),
        detail.encode("utf-8", "surrogatepass"),
        captured.encode("ascii"),
        output.encode("ascii"),
        text.encode("utf-8", "surrogatepass"),
    ]
    return RECORD.pack(*map(len, parts), stdout) + b"".join(parts)


def raised_by_program(error: BaseException) -> bool:
    """Whether a `raise` of the program's own made the exception, and not a call that failed."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or trace.tb_frame.f_code.co_code[trace.tb_lasti] == RAISE


def safe_message(error: BaseException) -> str:
    try:
        text = BaseException.__str__(error) if isinstance(error, SystemExit) else str(error)
        return str.__str__(text)[:500]
    except BaseException:
        return ""


def denied_what(where: str, message: str, file_name) -> str:
    """A word for what an operation was refused: file, network, process or operation."""
    if file_name is not None:
        return "file"
    parts = where.replace("\\", "/").rsplit("/", 2)
    tail = "/".join(parts[1:])
    if any(word in tail for word in ("socket", "http", "urllib", "ssl")):
        return "network"
    if any(word in tail for word in ("subprocess", "multiprocessing", "popen")):
        return "process"
    return "operation"


def quiet_collector() -> None:
    """Before forking: what exists now is never traversed again, so that a collection in a child copies no pages."""
    gc.collect()
    gc.freeze()
    gc.disable()

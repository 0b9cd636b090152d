"""The process behind the slow tier: reads `[gold, pred]` as JSON lines, answers `"equal"`, `"different"` or `"unread"`.

math-verify's LaTeX grammar builds sympy objects and hands sympy's evaluating reader, `parse_expr`, nothing but number literals; its
other path would hand it whole answers. Here that reader refuses all but number literals. Started with no rights beyond computing: no new processes, sockets or files to write, and bounded memory.
"""

import json
import re
import resource
import sys

MEMORY_BYTES = 3 << 30
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?\s*")
_DENIED = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "socket.", "ctypes.", "os.remove",
           "os.rename", "shutil.", "os.kill")  # fmt: skip


_WARM = (r"\int_0^1 x^{2} \, dx", r"\lim_{n \to \infty} \frac{1}{n}", r"\left(1, \frac{\pi}{2}\right]", r"\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}",
         r"x_{1} = 2\sqrt{3} - 4\sin x", r"\{1, 2\} \cup (3, \infty)", r"\sum_{k=1}^{n} k!", r"|x| \le 5\%", r"f(x) = e^{-x}\ln 2")  # fmt: skip


def _refuse(event: str, arguments: tuple) -> None:
    if event.startswith(_DENIED):
        raise PermissionError(f"{event} is not for answers")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise PermissionError("answers write no files")


def _numbers_only(parse_expr):
    def read(text, *arguments, **options):
        if not _NUMBER.fullmatch(str(text)):
            raise ValueError("answer text is never evaluated")
        return parse_expr(text, *arguments, **options)

    return read


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import latex2sympy2_extended.latex2sympy2
    import math_verify.parser
    import sympy.parsing.sympy_parser
    from math_verify import LatexExtractionConfig, parse, verify

    guarded = _numbers_only(sympy.parsing.sympy_parser.parse_expr)
    for module in (math_verify.parser, latex2sympy2_extended.latex2sympy2, sympy.parsing.sympy_parser, sympy.parsing):
        module.parse_expr = guarded
    config = [LatexExtractionConfig(boxed_match_priority=0)]
    for text in _WARM:  # fills the LaTeX grammar's tables, which costs more than any pair does later
        parse(f"${text}$", config, parsing_timeout=None)
    # The first comparison imports and caches what the later ones need.
    verify(
        parse(r"$\frac{x^2}{2}$", config, parsing_timeout=None),
        parse(r"$\frac{x^2}{3}$", config, parsing_timeout=None),
        timeout_seconds=None,
    )
    sys.addaudithook(_refuse)
    print("ready", flush=True)
    for line in sys.stdin:
        answer = "unread"
        try:
            texts = json.loads(line)
            gold, pred = (
                parse(f"$\\boxed{{{text}}}$", config, parsing_timeout=None, fallback_mode="no_fallback")
                for text in texts
            )
            if gold and pred:
                answer = "equal" if verify(gold, pred, timeout_seconds=None) else "different"
        except Exception:  # whatever sympy raises: this pair is not read, the next one may be
            answer = "unread"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""The `sample` stage: programs out of CodeGen, unconditionally (paper, section 3.2): a source like `seeds`.

Every sample starts from the same text, the prefix that CodeGen was trained with (`<|im_start|>…user\\n`; the code stands
in the user's turn), and ends at `<|im_end|>`. The released LHL3341/Caco-CodeGen expects exactly this prefix.

Out: `code` (the completion as it is, or the program in it for models that write fences), `sample_index`, and
`source`, `licence`, `domain` as the recipe names them. Rejected: `truncated` (cut off at `max_tokens`),
`bad_row:program` (nothing there).

    caco run recipes/quickstart --stages sample
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.asking import ModelConfig, Resources, ending, open_session, request_facts
from caco_recipes.code_cot import extract_program
from caco_recipes.configs import option
from caco_recipes.generation import Request
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 2
ROW = {"sample_index": "int64"}
FEATURES = {"sample_index": "int64", "code": "string", "source": "string", "licence": "string", "domain": "string"}
# Everything before the code in CodeGen's training text (facts of the paper's appendix and of the released model).
PREFIX = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
END = "<|im_end|>"

open = open_session


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a sample step. The paper: temperature 0.9, 1024 tokens; top_p, top_k and stop are not given there."""

    num_programs: int = option("How many programs to sample.", 1000)
    first_index: int = option("Index of the first sample: a second run that starts behind the first adds to it.", 0)
    prefix: str = option("The text that every sample starts from.", PREFIX)
    program: Literal["raw", "fenced"] = option("raw: the completion is the program; fenced: it is in a fence.", "raw")
    temperature: float = option("0 is greedy.", 0.9)
    max_tokens: int = option("New tokens at the most; a program that is cut off there is rejected.", 1024)
    stop: list[str] = option("Texts that end a program.", default_factory=lambda: [END])
    source: str = option("What the programs' source column says.", "CodeGen sample")
    licence: str = option("What the programs' licence column says.", "")
    domain: str = option("What the programs' domain column says.", "")
    condition_on: Literal["none", "domain"] = option(
        "domain: each sample starts behind its domain, as CodeGen was trained with condition_on; the paper doesn't.",
        "none",
    )
    domains: dict[str, float] = option("condition_on: domain -> its share of the samples.", default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_engine()
        if self.num_programs < 1 or self.first_index < 0:
            raise ValueError("num_programs must be at least 1, first_index at least 0")
        if self.temperature == 0 and self.num_programs > 1:
            raise ValueError("temperature 0 gives the same program num_programs times: sample with a temperature")
        if (self.condition_on == "domain") != bool(self.domains):
            raise ValueError("domains: name domains and their shares with condition_on: domain, and only there")
        if any(share < 0 for share in self.domains.values()) or (self.domains and not sum(self.domains.values()) > 0):
            raise ValueError("domains: shares are not negative, and one of them is above 0")
        if self.domains and self.domain:
            raise ValueError("domain: with condition_on, every program has the domain that it was asked for")


def domain_of(config: Config, seed: int, index: int) -> str:
    """The domain that a sample is asked for: by run seed and index, whatever else is sampled."""
    if not config.domains:
        return config.domain
    names, shares = zip(*sorted(config.domains.items()), strict=True)
    return random.Random(f"{seed}:domain:{index}").choices(names, shares)[0]


def prefix_of(config: Config, domain: str) -> str:
    """The text that a sample starts from."""
    return config.prefix + (f"# domain: {domain}\n" if config.condition_on == "domain" else "")


def rows(config: Config, context: Any) -> Iterator[dict[str, Any]]:
    """One row per sample."""
    last = config.first_index + config.num_programs
    return ({"sample_index": index} for index in range(config.first_index, last))


def preview(config: Config, context: Any) -> str:
    """The text that every sample starts from."""
    return prefix_of(config, domain_of(config, context.recipe.seed, config.first_index))


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Samples one program per row."""
    session = resources.session
    domains = [domain_of(config, resources.seed, index) for index in batch["sample_index"]]
    requests = [
        Request(prompt=prefix_of(config, domain), sampling=config.sampling(), sample_index=index, stage="sample")
        for index, domain in zip(batch["sample_index"], domains, strict=True)
    ]
    made = []
    for request, completion in zip(requests, session.complete(requests), strict=True):
        verdict, reason = ending(completion)
        code = completion.text
        if verdict == ACCEPTED:
            code = extract_program(code) if config.program == "fenced" else code.strip("\n") + "\n"
            if not code.strip():
                verdict, reason = REJECTED, "bad_row:program"
        # An empty program has no content to be named by.
        row_id = identity.draft_id(code) if code.strip() else identity.short_id(session.request_key(request))
        lineage = identity.add_receipt(
            "",
            stage="sample",
            version=VERSION,
            **request_facts(session, request),
            prefix_sha256=identity.sha256_text(request.prompt),
            sample_index=request.sample_index,
        )
        made.append((row_id, code, verdict, reason, lineage))
    ids, codes, verdicts, reasons, lineages = map(list, zip(*made, strict=True))
    count = len(ids)
    return {
        "id": ids,
        "parent_ids": [[] for _ in ids],
        "family_id": [""] * count,
        "lineage": lineages,
        "verdict": verdicts,
        "reason": reasons,
        "code": codes,
        "source": [config.source] * count,
        "licence": [config.licence] * count,
        "domain": domains,
    }

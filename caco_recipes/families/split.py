"""Train or test by family: the rows of a family always go to the same side, in every run and every shard."""

from caco_recipes.identity import sha256_text


def split_of(family_id: str, test_share: float, seed: int = 0) -> str:
    """`test` for about `test_share` of all families, `train` for the others; by the hash of seed and family alone."""
    place = int(sha256_text(f"{seed}\0{family_id}")[:12], 16) / 16**12
    return "test" if place < test_share else "train"

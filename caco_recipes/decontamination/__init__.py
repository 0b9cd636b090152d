"""Decontamination: hashed indexes of benchmarks (and of data sets), and the texts that contain one of their items."""

from caco_recipes.decontamination.index import INDEX_VERSION, Index, IndexFault, Match, shipped_names

__all__ = ["INDEX_VERSION", "Index", "IndexFault", "Match", "shipped_names"]

"""Caco recipes: verifiable reasoning data from executable Code CoTs (arXiv 2510.04081)."""

__version__ = "0.1.0"

"""What `caco_recipes.sft` and `caco_recipes.grpo` are built from; one idea per file.

recipe → config.py (typed keys) → checks.py (what can't work, before anything is loaded) → data.py (rows) →
text_format.py (the paper's text) → tokens.py (ids, loss mask, packing, cached) → the trainer, with checkpoints.py
(resume), progress.py (what people watch) and card.py (the model card). plan.py answers `caco plan`.
"""

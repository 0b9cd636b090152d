"""What `caco_recipes.sft` and `caco_recipes.grpo` are built from; one idea per file.

launch.py (the command) → config.py (typed keys; grpo_config.py for GRPO) → checks.py (what can't work, before anything is
loaded) → data.py (rows) → text_format.py (the paper's text) → tokens.py (ids, loss mask, packing, cached) or grpo_rows.py →
resume.py (checkpoints.py, same_run.py) → the trainer, with progress.py (what people watch), card.py (the model card) and
summary.py; model_files.py and pushes.py decide what goes to the Hub. packed_attention.py, cpu_head.py and cpu_memory.py are
what makes a CPU fast. plan.py answers `caco plan`.
"""

"""TRL's `GRPOTrainer` with two changes: our model card, our choice of what is pushed."""

from trl import GRPOTrainer

from caco_recipes.training import card, pushes


class CacoGRPOTrainer(card.WritesCard, pushes.PushesModelFiles, GRPOTrainer):
    """`GRPOTrainer` whose every save, checkpoint and push writes our card; pushes are ours (pushes.py)."""

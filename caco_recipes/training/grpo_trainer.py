"""TRL's `GRPOTrainer` with one change: the model card in the output folder is ours."""

from trl import GRPOTrainer

from caco_recipes.training import card


class CacoGRPOTrainer(card.WritesCard, GRPOTrainer):
    """`GRPOTrainer` whose every save, checkpoint and push writes our card."""

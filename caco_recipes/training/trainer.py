"""TRL's `SFTTrainer` with three changes: our model card, our choice of what is pushed, our head on a CPU."""

from typing import Any

from trl import SFTTrainer

from caco_recipes.training import card, cpu_head, cpu_memory, packed_attention, pushes


class CacoSFTTrainer(card.WritesCard, pushes.PushesModelFiles, SFTTrainer):
    """`SFTTrainer` with our card and pushes; on a CPU with the head of cpu_head.py, where the model allows it."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        packed_attention.register()
        super().__init__(*args, **keywords)
        # By the device of the run: with DeepSpeed or FSDP the weights of a GPU run lie on the CPU at this point.
        if self.args.device.type == "cpu":
            cpu_memory.keep()
            cpu_head.use(self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model)

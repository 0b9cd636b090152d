"""TRL's `SFTTrainer` with two changes: the model card in the output folder is ours, and so is the head on a CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trl import SFTTrainer

from caco_recipes.training import card, cpu_head, packed_attention


class CacoSFTTrainer(SFTTrainer):
    """`SFTTrainer` whose every save, checkpoint and push writes `card_text()` as the README."""

    def __init__(self, *args: Any, card_text: Callable[[Any], str], **keywords: Any) -> None:
        self._card_text = card_text
        packed_attention.register()
        super().__init__(*args, **keywords)
        model = self.model
        cpu_head.use(model.get_base_model() if hasattr(model, "get_base_model") else model)

    def create_model_card(self, *args: Any, **keywords: Any) -> None:
        # TRL calls this at every checkpoint and push, with a text that names neither recipe nor data.
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            card.write(folder / "README.md", self._card_text(self.state))

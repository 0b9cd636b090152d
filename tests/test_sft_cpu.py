"""What makes training fast on a CPU gives the same numbers: attention row by row, and our own head."""

import pytest
import torch
from training_models import save_model

from caco_recipes.training import cpu_head, packed_attention

LENGTHS = [3, 1, 40, 17]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


def load(folder, attention="sdpa", dtype=torch.float32):
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    packed_attention.register()
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention, dtype=dtype).train()
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    return model


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 300, (1, sum(LENGTHS)), generator=generator)
    positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    borders = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0)], dtype=torch.int32)
    labels = ids.masked_fill((positions == 0) | (torch.rand(ids.shape, generator=generator) < 0.3), -100)
    return {"input_ids": ids, "position_ids": positions, "labels": labels, "cu_seq_lens_q": borders}


def step(model, inputs, scale=1.0):
    """(outputs, gradients by name) of one forward and backward pass."""
    model.zero_grad()
    outputs = model(**inputs, fused_lm_head=True)
    (-outputs.log_probs.sum() * scale).backward()
    return outputs, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("dtype", "short", "tolerance"),
    [(torch.float32, 512, 1e-4), (torch.bfloat16, 512, 0.05), (torch.bfloat16, 10, 0.05)],
)
def test_rows_of_a_pack_attend_to_themselves_forwards_and_backwards(folder, monkeypatch, dtype, short, tolerance):
    monkeypatch.setattr(packed_attention, "SHORT", short)
    masked, mask_gradients = step(load(folder, "sdpa", dtype), batch())
    packed, pack_gradients = step(load(folder, "packed_sdpa", dtype), batch())
    torch.testing.assert_close(packed.log_probs, masked.log_probs, atol=tolerance, rtol=tolerance)
    for name, gradient in mask_gradients.items():
        difference = (pack_gradients[name] - gradient).float().norm() / gradient.float().norm()
        assert difference < (1e-5 if dtype == torch.float32 else 0.05), name


def test_packed_attention_leaves_padded_batches_and_special_models_to_transformers(folder):
    ids = batch()["input_ids"].reshape(1, -1)[:, :20].repeat(2, 1)
    padded = {"input_ids": ids, "attention_mask": torch.tensor([[1] * 20, [1] * 12 + [0] * 8])}
    expected, found = (load(folder, name)(**padded).logits for name in ("sdpa", "packed_sdpa"))
    torch.testing.assert_close(found, expected)
    query = torch.ones(1, 2, 4, 8)
    with pytest.raises(ValueError, match="softcap"):
        packed_attention.packed_sdpa(
            torch.nn.Module(), query, query, query, None, cu_seq_lens_q=torch.tensor([0, 4]), softcap=3.0
        )


def test_the_head_gives_trls_loss_gradients_and_metrics(folder, monkeypatch):
    monkeypatch.setattr(cpu_head, "ROWS", 7)
    inputs = batch()
    theirs, their_gradients = step(load(folder), inputs, scale=0.1)
    model = load(folder)
    assert cpu_head.use(model)
    ours, our_gradients = step(model, inputs, scale=0.1)
    for name in ("loss", "log_probs", "label_mask", "is_top1"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.entropy, theirs.entropy.detach(), atol=1e-4, rtol=1e-4)
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, atol=1e-5, rtol=1e-4)


def test_in_bfloat16_our_gradients_are_as_near_to_float32s_as_trls(folder):
    """The head multiplies in bfloat16 where TRL's goes over to float32: all gradients together are no worse for it."""
    _, exact = step(load(folder), batch(), scale=0.1)
    apart = []
    for ours in (True, False):
        model = load(folder, dtype=torch.bfloat16)
        assert not ours or cpu_head.use(model)
        _, gradients = step(model, batch(), scale=0.1)
        squares = [(gradients[name].float() - value).square().sum() for name, value in exact.items()]
        apart.append((sum(squares) / sum(value.square().sum() for value in exact.values())).sqrt().item())
    print(f"from float32's gradients: {apart[0]:.4f} with our head, {apart[1]:.4f} with TRL's")
    assert apart[0] < 0.05 and apart[0] < 1.2 * apart[1]


def trained(model, rows, folder, ours: bool, steps: int, batch: int):
    """(losses, weights after training by name, weights before) of a seeded run with our head or with TRL's."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from caco_recipes.training.trainer import CacoSFTTrainer

    arguments = SFTConfig(
        output_dir=str(folder), per_device_train_batch_size=batch, max_steps=steps, learning_rate=6e-4, seed=42,
        use_cpu=True, bf16=False, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
        gradient_checkpointing=False, max_length=None, padding_free=True, dataset_kwargs={"skip_prepare_dataset": True},
        model_init_kwargs={"dtype": "float32", "attn_implementation": "packed_sdpa"},
    )  # fmt: skip
    packed_attention.register()
    common = {"args": arguments, "train_dataset": Dataset.from_list(rows)}
    common |= {"processing_class": AutoTokenizer.from_pretrained(model)}
    if ours:
        trainer = CacoSFTTrainer(model=str(model), card_text=lambda state: "", **common)
    else:
        trainer = SFTTrainer(model=str(model), **common)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, dict(trainer.model.named_parameters()), before


def assert_the_head_changes_nothing(model, rows, folder, steps: int, batch: int) -> None:
    """The losses agree to 1e-4, and the weights to a hundredth of what training changed."""
    theirs, their_weights, before = trained(model, rows, folder, False, steps, batch)
    ours, our_weights, _ = trained(model, rows, folder, True, steps, batch)
    assert len(theirs) == steps and theirs[-1] < theirs[0] - 0.1, theirs
    assert ours == pytest.approx(theirs, abs=1e-4)
    apart, changed = (
        sum((other[name] - value).double().square().sum().item() for name, value in their_weights.items()) ** 0.5
        for other in (our_weights, before)
    )
    print(f"losses {theirs} and {ours}; weights {apart:.2e} apart, training changed them by {changed:.2e}")
    assert apart < 0.01 * changed


def test_a_whole_run_with_our_head_gives_the_weights_of_one_with_trls(folder, tmp_path):
    generator = torch.Generator().manual_seed(1)
    rows = []
    for length in torch.randint(5, 60, (40,), generator=generator).tolist():
        ids = torch.randint(0, 300, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
    assert_the_head_changes_nothing(folder, rows, tmp_path, steps=20, batch=4)


@pytest.mark.slow
@pytest.mark.model
def test_so_does_a_run_of_the_real_small_model(root, tmp_path):
    from transformers import AutoTokenizer

    from caco_recipes.training import text_format

    model = root / "models" / "SmolLM2-135M-Instruct"
    if not model.is_dir():
        pytest.skip("the small model isn't built: python -m caco_recipes.small_model models/SmolLM2-135M-Instruct")
    programs = [
        f'input = {{"a": {n}}}\ndef f(a):\n    return a * {n} + 1\noutput = f(**input)\nprint(output)'
        for n in range(24)
    ]
    tokenizer = AutoTokenizer.from_pretrained(model)
    encoded = text_format.encode(text_format.CODEGEN, {"code": programs}, tokenizer, 512)
    rows = [{"input_ids": ids, "labels": labels} for ids, labels in zip(encoded["input_ids"], encoded["labels"])]
    assert_the_head_changes_nothing(model, rows, tmp_path, steps=6, batch=4)


def test_the_head_takes_a_batch_without_labels_and_generation_as_it_was(folder):
    model = load(folder)
    cpu_head.use(model)
    inputs = batch()
    outputs, gradients = step(model, inputs | {"labels": torch.full_like(inputs["labels"], -100)})
    assert outputs.loss == 0 and all(not gradient.any() for gradient in gradients.values())
    plain = load(folder)
    ids = inputs["input_ids"][:, :5]
    torch.testing.assert_close(model(ids).logits, plain(ids).logits)
    generated = [m.eval().generate(ids, max_new_tokens=3, do_sample=False) for m in (model, plain)]
    assert torch.equal(*generated)


def test_the_head_is_not_used_where_a_model_changes_its_logits(folder):
    model = load(folder)
    model.config.final_logit_softcapping = 30.0
    assert not cpu_head.use(model)


def test_mixed_precision_keeps_float32_gradients(folder):
    model = load(folder)
    cpu_head.use(model)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**batch(), fused_lm_head=True)
    outputs.loss.backward()
    full, gradients = step(load(folder), batch(), scale=1 / int((batch()["labels"][:, 1:] != -100).sum()))
    assert outputs.loss.item() == pytest.approx(full.loss.item(), abs=0.02)
    gradient = model.get_output_embeddings().weight.grad
    assert gradient.dtype == torch.float32
    expected = gradients["lm_head.weight"]
    assert (gradient - expected).norm() / expected.norm() < 0.03


@pytest.mark.parametrize(("device", "ours"), [("cpu", True), ("cuda", False)])
def test_the_runs_device_decides_about_the_head(folder, monkeypatch, device, ours):
    from types import SimpleNamespace

    from trl import SFTTrainer

    from caco_recipes.training.trainer import CacoSFTTrainer

    # A GPU run under DeepSpeed or FSDP: the weights are still on the CPU when TRL's trainer is made.
    def made(self, model) -> None:
        self.model, self.args = model, SimpleNamespace(device=torch.device(device))

    monkeypatch.setattr(SFTTrainer, "__init__", made)
    model = load(folder)
    theirs = model.forward
    CacoSFTTrainer(model, card_text=str)
    assert (model.forward != theirs) == ours

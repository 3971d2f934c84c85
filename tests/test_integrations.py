"""Downslope's optimizers in others' loops, unchanged: train, save, resume, compare with a run never stopped."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope import schedules
from downslope.optim import Adam, AdamW, Lion
from downslope.optim.base import Optimizer
from downslope.tasks import digits


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not importlib.util.find_spec(package), reason=f"{package} is not installed")


EPOCHS, BATCH = 4, 50
STEPS = EPOCHS * 400 // BATCH

OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "adam": lambda p: Adam(p, lr=1e-2),
    "adamw-cosine": lambda p: AdamW(p, lr=schedules.cosine(1e-2, steps=STEPS, warmup=4), weight_decay=0.1),
    "lion-linear": lambda p: Lion(p, lr=schedules.linear(5e-3, 1e-5, steps=STEPS), max_norm=1.0, ema=0.9),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


@pytest.fixture(scope="module")
def data() -> TensorDataset:
    images, labels = digits.data()[0]
    return TensorDataset(images[:400], labels[:400])


def new_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 16, 10))


def plain(make: Callable[[Any], Optimizer], data: TensorDataset) -> tuple[nn.Module, Optimizer]:
    """The same run in a loop by hand."""
    model = new_model()
    optimizer = make(model.parameters())
    for _ in range(EPOCHS):
        for inputs, targets in DataLoader(data, BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    return model, optimizer


def same_weights(a: nn.Module, b: nn.Module) -> None:
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


def same_states(a: Optimizer, b: Optimizer) -> None:
    """Every state of every parameter, and what the param groups say, is the same."""
    ours, theirs = a.state_dict(), b.state_dict()
    assert ours["state"].keys() == theirs["state"].keys() and len(ours["state"]) > 0
    for place, state in ours["state"].items():
        assert state.keys() == theirs["state"][place].keys()
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs["state"][place][name])), name
    assert [g | {"params": 0} for g in ours["param_groups"]] == [g | {"params": 0} for g in theirs["param_groups"]]
    assert a.steps == b.steps


def learned(model: nn.Module, data: TensorDataset) -> None:
    inputs, targets = data.tensors
    with torch.no_grad():
        assert nn.functional.cross_entropy(model(inputs), targets) < 1.8  # log 10 = 2.3 at the start


# ---- Lightning


@needs("lightning")
@every_optimizer
@pytest.mark.filterwarnings("ignore:.*(does not have many workers|fewer than the logging interval):UserWarning")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning")
def test_lightning(make: Callable[[Any], Optimizer], data: TensorDataset, tmp_path: Path) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = new_model()

        def training_step(self, batch: Any, place: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Optimizer:
            return make(self.parameters())

    def run(epochs: int, resume: Path | None = None) -> tuple[Module, Any]:
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, default_root_dir=tmp_path,
        )  # fmt: skip
        module = Module()
        trainer.fit(module, DataLoader(data, BATCH), ckpt_path=resume)
        return module, trainer

    whole, trainer = run(EPOCHS)
    _, half = run(EPOCHS // 2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed, other = run(EPOCHS, tmp_path / "half.ckpt")
    same_weights(whole, resumed)
    same_states(trainer.optimizers[0], other.optimizers[0])
    by_hand, optimizer = plain(make, data)
    same_weights(whole.model, by_hand)
    same_states(trainer.optimizers[0], optimizer)
    learned(whole.model, data)


# ---- Accelerate


@needs("accelerate")
@every_optimizer
@pytest.mark.parametrize("accumulate", [1, 2])
def test_accelerate(make: Callable[[Any], Optimizer], data: TensorDataset, tmp_path: Path, accumulate: int) -> None:
    from accelerate import Accelerator

    def run(first: int, last: int, resume: bool = False) -> tuple[nn.Module, Any]:
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        model = new_model()
        model, optimizer, loader = accelerator.prepare(model, make(model.parameters()), DataLoader(data, BATCH))
        if resume:
            accelerator.load_state(str(tmp_path))
        for _ in range(first, last):
            for inputs, targets in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(nn.functional.cross_entropy(model(inputs), targets))
                    optimizer.step()
                    optimizer.zero_grad()
        if not resume and last < EPOCHS:
            accelerator.save_state(str(tmp_path))
        return accelerator.unwrap_model(model), optimizer.optimizer

    whole, optimizer = run(0, EPOCHS)
    run(0, EPOCHS // 2)
    resumed, other = run(EPOCHS // 2, EPOCHS, resume=True)
    same_weights(whole, resumed)
    same_states(optimizer, other)
    assert optimizer.steps == STEPS // accumulate
    if accumulate == 1:
        by_hand, own = plain(make, data)
        same_weights(whole, by_hand)
        same_states(optimizer, own)
    learned(whole, data)


# ---- Hugging Face Trainer


LR = 3e-3
COSINE = schedules.as_lambda(schedules.cosine(LR, steps=STEPS, warmup=4), lr=LR)
# Trainer drives the learning rate: with its own schedule, or with one of downslope's that is handed to it. All other
# settings may be scheduled in the optimizer.
IN_TRAINER: dict[str, tuple[Callable[[Any], Optimizer], Any]] = {
    "adam": (lambda p: Adam(p, lr=LR), None),
    "adamw-cosine": (lambda p: AdamW(p, lr=LR, betas=(schedules.linear(0.5, 0.9, steps=STEPS), 0.99)), COSINE),
    "lion-cosine": (lambda p: Lion(p, lr=LR, weight_decay=schedules.linear(0, 1, steps=STEPS), ema=0.9), COSINE),
}


@needs("transformers")
@needs("accelerate")
@pytest.mark.parametrize(("make", "factor"), IN_TRAINER.values(), ids=IN_TRAINER)
def test_hugging_face_trainer(
    make: Callable[[Any], Optimizer], factor: Any, data: TensorDataset, tmp_path: Path
) -> None:
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    images, labels = data.tensors
    levels = images.flatten(1).argsort().argsort() // 16  # the pixels' ranks as words: 4 of them
    rows = [{"input_ids": words, "labels": label} for words, label in zip(levels, labels)]
    config = BertConfig(
        vocab_size=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, num_labels=10, hidden_dropout_prob=0.1,
    )  # fmt: skip

    def run(folder: str, resume: str | None = None) -> Trainer:
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        arguments = TrainingArguments(
            str(tmp_path / folder), num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, use_cpu=True, seed=1,
            save_strategy="steps", save_steps=STEPS // 2, report_to=[], disable_tqdm=True, logging_steps=8,
            lr_scheduler_type="linear", max_grad_norm=1.0,
        )  # fmt: skip
        optimizer = make(model.parameters())
        scheduler = factor and torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        trainer = Trainer(model, arguments, train_dataset=rows, optimizers=(optimizer, scheduler))
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    whole = run("whole")
    resumed = run("resumed", str(tmp_path / "whole" / f"checkpoint-{STEPS // 2}"))
    assert whole.state.global_step == resumed.state.global_step == STEPS
    same_weights(whole.model, resumed.model)
    same_states(whole.optimizer.optimizer, resumed.optimizer.optimizer)
    assert whole.optimizer.optimizer.steps == STEPS
    assert whole.optimizer.param_groups[0]["lr"] == pytest.approx(factor(STEPS) * LR if factor else 0.0)
    losses = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]

"""A watch in others' loops: Lightning and Hugging Face's Trainer."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from findings_cases import data, mlp


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not importlib.util.find_spec(package), reason=f"{package} is not installed")


def parts() -> tuple[TensorDataset, TensorDataset]:
    x, y, vx, vy = data()
    return TensorDataset(x, y), TensorDataset(vx, vy)


@needs("lightning")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lr, first", [(1e-3, []), (5.0, ["lr-too-high"])])
def test_lightning(lr: float, first: list[str], capsys: Any) -> None:
    import lightning

    from downslope.diagnose.lightning import LightningWatch

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", F.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr)

    torch.manual_seed(0)
    seen = LightningWatch(budget=1.0)
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", callbacks=[seen], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    train, validation = parts()
    trainer.fit(Module(), DataLoader(train, 32, shuffle=True), DataLoader(validation, 200))
    assert seen.report is not None and seen.report.steps == 75
    assert [f.symptom for f in seen.report][:1] == first
    assert ("lr-too-high" in capsys.readouterr().out) == bool(first)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = mlp()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.body(x)
        return {"loss": F.cross_entropy(scores, labels), "logits": scores}


@needs("transformers")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lr, first", [(1e-3, []), (5.0, ["lr-too-high"])])
def test_trainer(lr: float, first: list[str], tmp_path: Path) -> None:
    import transformers

    from downslope.diagnose.trainer import TrainerWatch

    torch.manual_seed(0)
    seen = TrainerWatch(budget=1.0)
    args = transformers.TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=32, num_train_epochs=3, learning_rate=lr, use_cpu=True,
        report_to=[], save_strategy="no", eval_strategy="epoch", disable_tqdm=True, lr_scheduler_type="constant",
    )  # fmt: skip
    train, validation = ([{"x": x, "labels": y} for x, y in part] for part in parts())
    transformers.Trainer(Net(), args, train_dataset=train, eval_dataset=validation, callbacks=[seen]).train()
    assert seen.report is not None and seen.report.steps == 75
    assert [f.symptom for f in seen.report][:1] == first

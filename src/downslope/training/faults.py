"""What is wrong when a batch cannot be trained on, in words that name the user's file, function and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..errors import DownslopeError, RunError
from ..user_code import where
from .data import Part
from .task import Task


def leaves(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a batch, however nested."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)


def size(inputs: Any, targets: Any) -> int:
    """How many samples a batch has."""
    if isinstance(targets, torch.Tensor) and targets.ndim:
        return targets.shape[0]
    first = next((t for t in (*leaves(targets), *leaves(inputs)) if t.ndim), None)
    return 1 if first is None else first.shape[0]


def moved(value: Any, device: torch.device) -> Any:
    """The same on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: moved(each, device) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(each, device) for each in value))
    return type(value)(moved(each, device) for each in value) if isinstance(value, list | tuple) else value


def shape(value: Any) -> str:
    """`float32 [64, 10]`"""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!s}: {shape(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(shape(each) for each in value) + ")"
    return type(value).__name__


def model_failed(task: Task, part: Part, inputs: Any, error: BaseException) -> RunError:
    if isinstance(error, DownslopeError):
        raise error
    wide = any(t.dtype == torch.float64 for t in leaves(inputs)) and "dtype" in str(error)
    return RunError(
        f"{task.name}: the network of model() failed on the inputs of {part.where}, {shape(inputs)}: {where(error)}"
        + ("; make the inputs float32, inputs.float()" if wide else "")
    )


def loss_failed(
    task: Task, part: Part, output: Any, targets: Any, error: BaseException, name: str = "loss"
) -> RunError:
    """The error for an output and targets that the loss does not take; finds labels that are out of range."""
    if isinstance(error, DownslopeError):
        raise error
    if isinstance(output, torch.Tensor) and output.ndim > 1 and isinstance(targets, torch.Tensor) and targets.numel():
        low, high, classes = targets.min().item(), targets.max().item(), output.shape[1]
        integer = not targets.is_floating_point() and targets.dtype != torch.bool
        if integer and "out of bounds" in str(error) and (high >= classes or low < 0):
            wrong = high if high >= classes else low
            return RunError(
                f"{part.where}: a target is {wrong}, out of range: the network of model() has {classes} outputs, so "
                f"classes go from 0 to {classes - 1}"
            )
    if "Using a target size" in str(error) and isinstance(output, torch.Tensor):
        flat = "output.squeeze(-1)" if output.shape[:-1] == targets.shape else "target.view_as(output)"
        return RunError(
            f"{task.name}: {name}(output, target) got output {shape(output)} and target {shape(targets)} of "
            f"{part.where}, which torch would spread against each other; give both the same shape, as with {flat}"
        )
    return RunError(
        f"{task.name}: {name}(output, target) failed on output {shape(output)} and target {shape(targets)} of "
        f"{part.where}: {where(error)}"
    )


def backward_failed(task: Task, error: BaseException) -> RunError:
    text = str(error).splitlines()[0]
    for word, what in BACKWARD.items():
        if word in text:
            return RunError(f"{task.name}: the gradient of loss(output, target) cannot be computed: {what} ({text})")
    return RunError(f"{task.name}: the gradient of loss(output, target) cannot be computed: {text}")


BACKWARD = {
    "inplace operation": "model() or loss() changes in place what the gradient needs; write x = x + 1 for x += 1",
    "second time": "model() keeps a tensor of the step before, with its history; detach() it",
}


def check_loss(task: Task, loss: Any) -> None:
    """Check that the loss can be minimised. Raises RunError."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise RunError(f"{task.name}: loss(output, target) returned {shape(loss)}; return a scalar tensor")
    if not loss.requires_grad:
        raise RunError(
            f"{task.name}: loss(output, target) does not depend on the parameters of model(), so nothing can be "
            "learned; compute it from output with torch, without detach(), item() or no_grad()"
        )


def check_finite(part: Part, inputs: Any, targets: Any) -> None:
    """Check, after a loss that is not finite, that it is not the data's fault. Raises RunError."""
    for name, value in (("inputs", inputs), ("targets", targets)):
        for tensor in leaves(value):
            if not (tensor.is_floating_point() or tensor.is_complex()):
                continue
            bad = ~tensor.isfinite()
            if (count := int(bad.sum())) > 0:
                kind = "nan" if bool(tensor.isnan().any()) else "infinity"
                raise RunError(
                    f"{part.where}: the {name} hold {kind}: {count} of the {tensor.numel()} values in a batch are not "
                    "finite; mend or leave out those samples"
                )

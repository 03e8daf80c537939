"""States that are spread over ranks, which rank 0 cannot save alone: DTensors, and modules of FSDP."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bench_track.errors import CheckpointError

AGREE_HINT = (
    "Call it without `every`, in all ranks at the same steps, with what get_model_state_dict and "
    "get_optimizer_state_dict of torch.distributed.checkpoint.state_dict gather "
    "(StateDictOptions(full_state_dict=True, cpu_offload=True)). For the step that SIGTERM comes at, "
    "all-reduce run.is_stopping."
)


def check_gathered(state: Mapping[str, Any]) -> None:
    """Whether a state holds all that it stands for.

    Args:
        state: With the `state_dict()` of what has one.

    Raises:
        CheckpointError: A tensor of it is a DTensor: rank 0 would save its own piece alone.
    """
    if name := _find_dtensor(state):
        raise CheckpointError(
            f"{name} is spread over ranks (a DTensor), and rank 0 would save its own piece alone",
            hint=f"{AGREE_HINT} Or save a folder by torch.distributed.checkpoint, and give its path.",
        )


def check_alone(state: Mapping[str, Any]) -> None:
    """Whether a rank can take a state when it likes, as at the step that SIGTERM reaches it at.

    Args:
        state: With modules and optimizers, or their `state_dict()`.

    Raises:
        CheckpointError: It is spread over ranks, and to gather it takes all of them.
    """
    if name := _find_dtensor(state) or _find_fsdp(state):
        raise CheckpointError(
            f"{name} is spread over ranks, which SIGTERM reaches at different steps: `every` would have "
            "one of them wait for the others forever",
            hint=AGREE_HINT,
        )


def _find_dtensor(state: Mapping[str, Any]) -> str:
    """The name of the first DTensor; empty if there is none."""
    kind = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)
    if kind is None:
        return ""
    return next((name for name, value in _leaves("", state) if isinstance(value, kind)), "")


def _find_fsdp(state: Mapping[str, Any]) -> str:
    """The name of the first module of FSDP's first version, whose `state_dict()` gathers; empty likewise."""
    kind = getattr(sys.modules.get("torch.distributed.fsdp"), "FullyShardedDataParallel", None)
    if kind is None:
        return ""
    return next(
        (
            name
            for name, value in state.items()
            if callable(modules := getattr(value, "modules", None))
            and any(isinstance(module, kind) for module in modules())
        ),
        "",
    )


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What is in a tree of dicts and lists, and the parameters of modules and optimizers in it, by name."""
    children: Any
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    elif callable(named := getattr(value, "named_parameters", None)):
        children = named()
    elif isinstance(groups := getattr(value, "param_groups", None), list):
        children = enumerate(groups)
    else:
        yield name, value
        return
    for key, child in children:
        yield from _leaves(f"{name}.{key}" if name else str(key), child)

"""What a checkpoint says of its models, so that they can be made again."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bench_track.errors import CheckpointError
from bench_track.spread import check_gathered

Builders = Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]]
"""By the name of a model in the state: what makes its module, and the keyword arguments for that."""


def describe_models(state: Mapping[str, Any], builders: Builders) -> dict[str, Any]:
    """The class of each module that was given itself; the builder and its arguments where there is one.

    Args:
        state: What is saved.
        builders: For models of it.

    Raises:
        CheckpointError: A builder is of no model, cannot be imported, or has arguments that JSON has not.
    """
    if unknown := set(builders) - set(state):
        raise CheckpointError(f"builders has {sorted(unknown)}, which the state has not")
    module_type = getattr(getattr(sys.modules.get("torch"), "nn", None), "Module", ())
    models: dict[str, dict[str, Any]] = {}
    for name, value in state.items():
        described: dict[str, Any] = (
            {"class": _import_name(type(value))} if isinstance(value, module_type) else {}
        )
        if name in builders:
            builder, arguments = builders[name]
            described |= {"builder": _import_name(builder), "arguments": _arguments(name, arguments)}
        if described:
            models[str(name)] = described
    return models


def state_dicts(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with `state_dict()` in place of the modules, optimizers and loaders in it.

    Raises:
        CheckpointError: It is spread over ranks, and not gathered.
    """
    found = {
        name: value.state_dict() if callable(getattr(value, "state_dict", None)) else value
        for name, value in state.items()
    }
    check_gathered(found)
    return found


def _import_name(named: Any) -> str:
    try:
        return f"{named.__module__}:{named.__qualname__}"
    except AttributeError:
        raise CheckpointError(
            f"the builder {named!r} has no name that it can be imported by",
            hint="Give a function or a class.",
        ) from None


def _arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(arguments), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the arguments of the builder of {name} are not what JSON has: {error}"
        ) from error
    return copy

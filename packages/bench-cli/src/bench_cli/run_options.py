"""Options of commands that run something in a container."""

import click


def _variables(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise click.BadParameter(f"{name!r} is no NAME=VALUE", context, parameter)
    return {name: value for name, _, value in pairs}


def _size(context: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    from bench_core import ProjectFileError
    from bench_core.values import check_bytes

    try:
        return None if given is None else check_bytes("memory", given)
    except ProjectFileError as error:
        raise click.BadParameter(f"{error.message}. {error.hint}", context, parameter) from None


gpus_option = click.option("--gpus", metavar="N", type=click.IntRange(0), help="GPUs.")
cpus_option = click.option(
    "--cpus", metavar="X", type=click.FloatRange(0, min_open=True), help="CPUs, such as 4 or 0.5."
)
memory_option = click.option("--memory", metavar="SIZE", callback=_size, help="Memory, such as 16GB.")
environment_option = click.option(
    "--env",
    "environment",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_variables,
    help="A variable of the training; may be given again. It is shown: for secrets, `bench secret set`.",
)

"""`bench completion`."""

import click

from bench_cli.command import command
from bench_cli.output import Output


@command(
    "completion",
    examples=[
        "echo 'eval \"$(bench completion bash)\"' >> ~/.bashrc",
        "echo 'eval \"$(bench completion zsh)\"' >> ~/.zshrc",
        "bench completion fish > ~/.config/fish/completions/bench.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(output: Output, shell: str) -> None:
    """Print the script that completes commands."""
    from click.shell_completion import get_completion_class

    from bench_cli.app import bench

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(bench, {}, "bench", "_BENCH_COMPLETE").source()
    output.result(script, name=script)

"""Prints the tables of docs/runs.md: `python -m bench_server.runs.page`."""

from bench_server.runs.states import (
    EXTERNAL_REASONS,
    FOLLOWING,
    FOLLOWING_EXTERNAL,
    MEANING,
    REASONS,
    State,
)


def tables() -> str:
    """The states, which may follow which, and the reasons, in Markdown."""
    states = [
        f"| `{state.name}` | {meaning} | {_names(FOLLOWING[state]) or 'nothing: it is an end'} |"
        for state, meaning in MEANING.items()
    ]
    elsewhere = [
        f"| `{state.name}` | {_names(following) or 'nothing: it is an end'} |"
        for state, following in FOLLOWING_EXTERNAL.items()
    ]
    reasons = [
        f"| `{code}` | `{reason.state.name}` | {reason.meaning} | {'yes' if reason.is_retried else ''} |"
        for code, reason in REASONS.items()
    ]
    return "\n".join(
        [
            "| state | the attempt | may be followed by |",
            "|---|---|---|",
            *states,
            "",
            "| state of a run that was started elsewhere | may be followed by |",
            "|---|---|",
            *elsewhere,
            "",
            "| reason | state | why it ended | `--retry` |",
            "|---|---|---|---|",
            *reasons,
            "",
            "A run that was started elsewhere ends with "
            + ", ".join(f"`{reason}`" for reason in EXTERNAL_REASONS)
            + "; `lost` is taken back when it is heard of again.",
        ]
    )


def _names(states: frozenset[State]) -> str:
    return ", ".join(f"`{state.name}`" for state in State if state in states)


if __name__ == "__main__":
    print(tables())

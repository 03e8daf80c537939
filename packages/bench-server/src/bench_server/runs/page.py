"""Prints the tables of docs/runs.md: `python -m bench_server.runs.page`."""

from bench_server.runs.states import FOLLOWING, MEANING, REASONS, State


def tables() -> str:
    """The states, which may follow which, and the reasons, in Markdown."""
    states = [
        f"| `{state.name}` | {meaning} | {_names(FOLLOWING[state]) or 'nothing: it is an end'} |"
        for state, meaning in MEANING.items()
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
            "| reason | state | why it ended | `--retry` |",
            "|---|---|---|---|",
            *reasons,
        ]
    )


def _names(states: frozenset[State]) -> str:
    return ", ".join(f"`{state.name}`" for state in State if state in states)


if __name__ == "__main__":
    print(tables())

"""What a script says of its run key by key: its configuration and its results."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench_track.jsons import checked


class Said(Mapping[str, Any]):
    """Keys and values as JSON has them. What is set is written at once; later values of a key win.

    Args:
        what: `config` or `summary`.
        write: Gets what is new.

    Example:
        run.config["lr"] = 3e-4
        run.summary.update({"test/acc": 0.91})
    """

    def __init__(self, what: str, write: Callable[[dict[str, Any]], None]) -> None:
        self._what, self._write = what, write
        self._values: dict[str, Any] = {}

    def update(self, values: Any = (), /, **named: Any) -> None:
        """Set several at once.

        Args:
            values: A mapping, pairs, an `argparse.Namespace` or a dataclass.
            named: Further ones.

        Raises:
            ValueLogError: All that was set has more than 1 MiB as JSON.
        """
        if not isinstance(values, Mapping) and hasattr(values, "__dict__"):
            values = vars(values)
        new = {str(key): value for key, value in {**dict(values), **named}.items()}
        self._values = checked(self._what, {**self._values, **new})
        if new:
            self._write({key: self._values[key] for key in checked(self._what, new)})

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

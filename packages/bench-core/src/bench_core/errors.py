"""The root of every exception that a Bench package raises on purpose.

BenchError
  +-- ProjectFileError                      bench.toml is missing, damaged, or says what it cannot
  +-- bench_data.errors.DatasetError ...    one tree per distribution, in its errors.py
"""


class BenchError(Exception):
    """Something that the user can understand and mend.

    Args:
        message: What happened, with the value that was wrong.
        hint: What to do about it, one sentence, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries; the default would lose the keyword argument.
        return _rebuild, (type(self), self.__dict__)


class ProjectFileError(BenchError):
    """The project's `bench.toml` is missing, damaged, or says what it cannot."""


def _rebuild(kind: type[BenchError], fields: dict[str, object]) -> BenchError:
    error = kind.__new__(kind)
    Exception.__init__(error, fields["message"])
    error.__dict__.update(fields)
    return error

"""What is said of what runs log, for people: pure."""


def number_text(value: float | None) -> str:
    """A logged number, to six digits; a dash where there is none."""
    return "-" if value is None else f"{value:.6g}"

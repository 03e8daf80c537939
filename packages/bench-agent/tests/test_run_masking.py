import pytest
from bench_agent.run.masking import Masker, masked

SECRET = b"hunter2-hunter2"


def test_secrets_become_stars_of_their_length() -> None:
    masker = Masker([SECRET, b"short", b" padded secret\n"])
    text = b"a %s b short c padded secret d" % SECRET
    masked = masker.mask(text)
    assert masked == b"a *************** b short c ************* d"
    assert len(masked) == len(text)


def test_of_secrets_that_overlap_nothing_shows() -> None:
    masker = Masker([b"abcdefgh", b"efghijkl", b"xyxyxy"])
    assert masker.mask(b"-abcdefghijkl- xyxyxyxy") == b"-************- ********"


def test_a_key_is_masked_line_by_line_too() -> None:
    lines = [b"-----BEGIN KEY-----", b"MIIBVgIBADANBgkqhkiG", b"short", b"-----END KEY-----"]
    masker = Masker([b"\n".join(lines)])
    assert masker.mask(b"one: MIIBVgIBADANBgkqhkiG.") == b"one: ********************."
    assert masker.mask(b"a short line") == b"a short line"
    assert masker.mask(b"\n".join(lines)) == b"*" * len(b"\n".join(lines))


@pytest.mark.parametrize("length", range(1, len(SECRET)))
def test_the_beginning_of_a_secret_at_the_end_is_seen(length: int) -> None:
    masker = Masker([b"another secret", SECRET])
    # "hunter2-hu" ends with "hu", and is longer than that: the longest beginning counts.
    assert masker.open_end(b"text " + SECRET[:length]) == length
    assert masker.open_end(SECRET + b" end") == 0


def test_without_secrets_nothing_is_done() -> None:
    masker = Masker([b"", b"12345"])
    data = b"12345 anything"
    assert masker.mask(data) is data
    assert (masker.context, masker.open_end(data)) == (0, 0)


@pytest.mark.parametrize("size", [1, 2, 7, 14, 15, 16, 100])
def test_a_log_in_pieces(size: int) -> None:
    text = b"one " + SECRET + b" two" + SECRET + SECRET + b" hunter2-hunt"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert b"".join(masked(pieces, [SECRET])) == text.replace(SECRET, b"*" * len(SECRET))
    assert b"".join(masked(pieces, [])) == text

"""The traits of a text: what they count, and that no text makes them slow."""

import pytest

from router.traits import NAMES, traits


def counted(text: str, name: str) -> float:
    return float(traits([text])[0][NAMES.index(name)])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Which one?\nA. red\n\n  (B) blue\n3: green", 3),
        ("\n \n\nA) red\n\n\n\nno option\n\nK. neither", 1),
        ("A.red B. blue", 0),
        ("\n\n\n", 0),
    ],
)
def test_options_are_lines_that_begin_with_a_mark(text: str, options: int) -> None:
    from math import log1p

    assert counted(text, "options") == pytest.approx(log1p(options))


def test_blank_lines_are_read_once() -> None:
    """To look for an option from each of them took a second a text, on the event loop."""
    assert len(traits(["\n" * 6000 + "A. red"] * 300)) == 300

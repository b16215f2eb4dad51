"""Lists as models write them."""

import pytest

from orchestrator.listing import listed


@pytest.mark.parametrize(
    "text",
    [
        "1. Add the numbers\n2. Name the capital",
        "1) Add the numbers\n\n2) Name the capital",
        "Here are the parts:\n\n1. **Add the numbers**\n2. **Name the capital**\n\nTogether they answer it.",
        "**1.** Add the numbers\n**2.** Name the capital",
        "Step 1: Add the numbers\nStep 2: Name the capital",
        "Task 1 - Add the numbers\nTask 2 - Name the capital",
        "- Add the numbers\n- Name the capital\n",
        "* Add\n  the numbers\n* Name the capital",
        '["Add the numbers", "Name the capital"]',
        'Sure!\n```json\n{"tasks": [{"id": "t1", "description": "Add the numbers"}, {"task": "Name the capital"}]}\n```',
        '{"subtasks": ["Add the numbers", "Name the capital"], "note": "x"}',
        "1. Add the numbers\n1. Add the numbers\n2. Name the capital",
    ],
)
def test_however_it_is_written(text: str) -> None:
    assert listed(text, 8) == ["Add the numbers", "Name the capital"]


def test_dashes_below_a_number_are_its_details() -> None:
    text = "1. Add\n   - first this\n   - then that\n2. Name"
    assert listed(text, 8) == ["Add first this then that", "Name"]


def test_no_more_than_asked_for() -> None:
    assert listed("1. a\n2. b\n3. c", 2) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["", "The answer is 42.", "In 1998. That was it", "[1, 2]", '{"a": 1}', "[[]]", "[" * 9]
)
def test_what_is_no_list(text: str) -> None:
    assert listed(text, 8) == []

"""What is wrong with a request is said with the field's name; what is right comes in its one form."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from services.domain.errors import InvalidArgument
from services.runtime import arguments

if TYPE_CHECKING:
    from collections.abc import Callable

ID = UUID("0190a000-0000-7000-8000-0000000000ab")


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("stream_id", lambda: arguments.uuid("", "stream_id")),
        ("stream_id", lambda: arguments.uuid(ID.hex, "stream_id")),
        ("stream_id", lambda: arguments.uuid(f"{{{ID}}}", "stream_id")),
        ("stream_id", lambda: arguments.uuid(f"{ID}\n", "stream_id")),
        ("name", lambda: arguments.named(str(ID), "alerts")),
        ("name", lambda: arguments.named(f"alert/{ID}", "alerts")),
        ("name", lambda: arguments.named(f"x/alerts/{ID}", "alerts")),
        ("name", lambda: arguments.named(f"alerts/{ID}/", "alerts")),
        ("page_size", lambda: arguments.page_size(-1, default=10, most=100)),
        ("from_version", lambda: arguments.natural(-1, "from_version")),
        ("note", lambda: arguments.cleaned("x" * 6, "note", most=5)),
        ("note", lambda: arguments.cleaned("<b></b>", "note", most=5, least=1)),
    ],
)
def test_what_is_wrong_is_refused_with_the_name_of_the_field(field: str, read: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        read()

    assert [each.field for each in refusal.value.violations] == [field]


def test_a_uuid_is_read_in_either_case() -> None:
    assert arguments.uuid(str(ID).upper(), "stream_id") == ID
    assert arguments.named(f"alerts/{ID}", "alerts") == ID


@pytest.mark.parametrize(("asked", "size"), [(0, 10), (1, 1), (100, 100), (101, 100), (2**31 - 1, 100)])
def test_a_page_has_a_default_and_a_limit(asked: int, size: int) -> None:
    assert arguments.page_size(asked, default=10, most=100) == size


def test_a_text_comes_without_markup_and_control_characters() -> None:
    assert arguments.cleaned(" on <script>it</script>\x00 ", "note", most=500) == "on it"

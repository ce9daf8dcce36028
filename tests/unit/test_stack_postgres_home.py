"""Substitute directories: what is swept away, and what may still be somebody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import postgres_home


@pytest.fixture
def substitute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(postgres_home, "SUBSTITUTES", tmp_path)
    directory = tmp_path / "0123456789abcdef"
    directory.mkdir()
    (directory / postgres_home.ORIGIN).write_text(str(tmp_path / "asked"), encoding="utf-8")
    return directory


def test_a_substitute_whose_asked_place_is_gone_is_swept_away(substitute: Path):
    postgres_home.sweep_substitutes()

    assert not substitute.exists()


def test_a_substitute_of_another_user_whose_place_we_may_not_see_is_left_alone(
    substitute: Path, monkeypatch: pytest.MonkeyPatch
):
    def forbidden(path: Path) -> bool:
        raise PermissionError(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", forbidden)
        postgres_home.sweep_substitutes()

    assert substitute.exists()

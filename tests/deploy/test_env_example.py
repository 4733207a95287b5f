""".env.example: every setting of docker-compose.yaml, with the value that counts when it is not set."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Docker Compose's own, which the file does not name.
OF_COMPOSE = {"COMPOSE_PROFILES": ""}
COMMENT, HEADING, SETTING = re.compile(r"# \S"), re.compile(r"# --- "), re.compile(r"#([A-Z0-9_]+)=(.*)")


def example() -> list[str]:
    return (ROOT / ".env.example").read_text().splitlines()


def settings() -> list[tuple[str, str]]:
    return [found.groups() for line in example() if (found := SETTING.fullmatch(line))]


def test_it_names_every_setting_of_the_stack_with_its_default():
    """What docker-compose.yaml asks for and what the file tells are the same, values too."""
    text = re.sub(r"\$\$", "", (ROOT / "docker-compose.yaml").read_text())
    asked = re.findall(r"\$\{?([A-Z][A-Z0-9_]*)(?::-([^}]*))?", text)
    assert dict(settings()) == {**dict(asked), **OF_COMPOSE}
    assert len(set(asked)) == len(dict(asked)), "a setting has two defaults"


def test_each_setting_is_told_once():
    """The second line of a name would win without a word."""
    names = [name for name, _ in settings()]
    assert sorted(set(names)) == sorted(names)


def test_copied_as_it_is_it_changes_nothing():
    """Every line is a comment, and each group of settings says what it does."""
    for before, line in zip([""] + example(), example(), strict=False):
        assert not line or COMMENT.match(line) or SETTING.fullmatch(line)
        assert not SETTING.fullmatch(line) or before, f"nothing is said about {line}"

"""A registry that only notes what it is told: for the tests of steps that tag a version or move an alias."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.registry import Registry


class NotedRegistry(Registry):
    """Never talks to MLflow."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.tags: dict[int, dict[str, str]] = {}
        self.champion: int | None = None

    def tag_version(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(number, {}).update(tags)

    def set_alias(self, model: str, number: int, alias: str = "champion") -> None:
        self.champion = number

    def alias(self, model: str, alias: str = "champion") -> int | None:
        return self.champion

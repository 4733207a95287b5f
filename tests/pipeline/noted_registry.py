"""A registry that only notes what it is told: for the tests of steps that tag a version or move an alias."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.registry import Registry


class NotedRegistry(Registry):
    """Never talks to MLflow."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.tags: dict[int, dict[str, str]] = {}
        self.champion: int | None = None
        self.descriptions: dict[int, str] = {}
        self.files: dict[int, dict[str, bytes]] = {}

    def tag_version(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(number, {}).update(tags)

    def add_findings(
        self,
        model: str,
        number: int,
        *,
        files: Mapping[str, bytes],
        tags: Mapping[str, str],
        about: Callable[[str], str],
    ) -> None:
        self.files.setdefault(number, {}).update(files)
        self.descriptions[number] = about(self.descriptions.get(number, "### The model card\n"))
        self.tag_version(model, number, tags)

    def set_alias(self, model: str, number: int, alias: str = "champion") -> None:
        self.champion = number

    def alias(self, model: str, alias: str = "champion") -> int | None:
        return self.champion

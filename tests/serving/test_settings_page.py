"""docs/serving.md"""

from serving.settings import PREFIX, Settings
from tests.serving.process import REPOSITORY

PAGE = (REPOSITORY / "docs" / "serving.md").read_text()


def test_the_page_lists_every_setting_with_its_default_and_meaning():
    """In the order of serving/settings.py, in its words."""
    found = [line for line in PAGE.splitlines() if line.startswith(f"| `{PREFIX}")]
    assert found == [line(name, field) for name, field in Settings.model_fields.items()]


def line(name, field):
    default = "" if name == "push_token" or field.default in (None, "") else f"`{field.default}`"
    return f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |"

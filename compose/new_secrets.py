"""``python -m compose.new_secrets``: forgets the secrets that can be made anew without loss; the next ``up`` does."""

from __future__ import annotations

import json
from pathlib import Path

from compose.make_secrets import ROOT, write

# What is encrypted with it would be lost; the database knows its administrator's password from its first start;
# the keys of clients are in serving's own file and changed there, by `keys`; what is live was signed with `signing`.
KEPT = ("fernet", "database_admin", "signing", "key_client", "key_prometheus")


def forget(document: Path) -> None:
    """All but ``KEPT``, at once."""
    known = json.loads(document.read_text())
    write(document, json.dumps({name: known[name] for name in KEPT if name in known}, indent=1), ROOT)


if __name__ == "__main__":
    forget(Path("/secrets/all/secrets.json"))
    print("The next `docker compose up` makes new secrets.")

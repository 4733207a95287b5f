"""Makes the stack's secrets at its first start and lays out for each service what only that service may read.

``all`` is the one document; every other folder is made from it anew at each start. Not here: who mounts which folder
(``docker-compose.yaml``), API keys made later (``python -m serving.keys``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from compose.backup import UNFINISHED
from pipeline.signing import public_key

ADMIN = "admin"
OWNER_ONLY, READABLE_FOLDER = 0o400, 0o755
# The users that the services run as; the first is the pipeline's image, the second serving's.
PIPELINE, SERVING, S3, VALKEY, PROMETHEUS, GRAFANA, ROOT = 10000, 10001, 10002, 10004, 65534, 472, 0
BUCKETS = ("gavel", "mlflow")


@dataclass(frozen=True, slots=True)
class Folder:
    """What one service may read: files by name, and the user it runs as."""

    user: int
    files: Mapping[str, str]


def new_secrets() -> dict[str, str]:
    """A value for every name: 512 random bits where Airflow signs with it, 256 elsewhere, 96 where people type it."""
    names = ("database_admin", "database_airflow", "database_mlflow", "push_token", "valkey", "s3_control")
    s3 = [f"s3_{who}_{part}" for who in ("admin", "pipeline", "mlflow", "serving") for part in ("id", "secret")]
    made = {name: secrets.token_urlsafe(32) for name in (*names, *s3)}
    keys = {f"key_{who}": f"gavel_{secrets.token_urlsafe(32)}" for who in ("client", "prometheus")}
    fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    made |= {name: secrets.token_urlsafe(64) for name in ("jwt", "session")}
    made["signing"] = _pem(Ed25519PrivateKey.generate())
    return {**made, **keys, "fernet": fernet, "login": secrets.token_urlsafe(12), "grafana": secrets.token_urlsafe(12)}


def read_or_make(document: Path) -> dict[str, str]:
    """The secrets of this stack: those written down before, and new ones for names that came with a newer release."""
    known = json.loads(document.read_text()) if document.exists() else {}
    found = {**new_secrets(), **known}
    if found != known:
        write(document, json.dumps(found, indent=1), ROOT)
    return found


def folders(known: Mapping[str, str]) -> dict[str, Folder]:
    """What each service may read, by its name."""
    return {
        "postgres": Folder(ROOT, {"env": _lines(POSTGRES_PASSWORD=known["database_admin"])}),
        "s3": Folder(
            S3, {"s3.json": s3_identities(known), "env": _lines(WEED_JWT_FILER_SIGNING_KEY=known["s3_control"])}
        ),
        "setup": Folder(PIPELINE, {"env": _setup(known)}),
        "airflow": Folder(PIPELINE, _airflow_files(known)),
        "mlflow": Folder(PIPELINE, {"env": _mlflow(known)}),
        "serving": Folder(SERVING, {"env": _serving(known)}),
        "valkey": Folder(VALKEY, {"valkey.conf": f"requirepass {known['valkey']}\n"}),
        "prometheus": Folder(PROMETHEUS, {"key": known["key_prometheus"]}),
        "grafana": Folder(GRAFANA, {"password": known["grafana"]}),
        "people": Folder(PIPELINE, {"env": _people(known)}),
    }


def s3_identities(known: Mapping[str, str]) -> str:
    """SeaweedFS's users: only ``admin`` may make buckets, serving may read releases and candidates and nothing else."""
    everything = ["Read", "Write", "List"]
    granted = {
        "admin": ["Admin", *everything, "Tagging"],
        "pipeline": [f"{kind}:gavel" for kind in everything],
        "mlflow": [f"{kind}:mlflow" for kind in everything],
        "serving": [f"Read:gavel/{kind}/*" for kind in ("releases", "candidates", "channels")],
    }
    return json.dumps({"identities": [_identity(known, name, actions) for name, actions in granted.items()]})


def _identity(known: Mapping[str, str], name: str, actions: list[str]) -> dict[str, object]:
    keys = {"accessKey": known[f"s3_{name}_id"], "secretKey": known[f"s3_{name}_secret"]}
    return {"name": name, "credentials": [keys], "actions": actions}


def credentials(known: Mapping[str, str]) -> str:
    """Serving's first credentials file; people add and remove keys in it later."""
    entries = [
        {"name": who, "role": "predict", "sha256": hashlib.sha256(known[f"key_{who}"].encode()).hexdigest()}
        for who in ("client", "prometheus")
    ]
    return json.dumps({"keys": entries, "aws": []}, indent=1)


def _setup(known: Mapping[str, str]) -> str:
    return _lines(
        DATABASE_ADMIN_URL=_database(known, "admin", "postgres", user="postgres"),
        DATABASE_AIRFLOW_PASSWORD=known["database_airflow"],
        DATABASE_MLFLOW_PASSWORD=known["database_mlflow"],
        **_s3(known, "admin"),
    )


def _airflow_files(known: Mapping[str, str]) -> dict[str, str]:
    passwords = json.dumps({ADMIN: known["login"]})
    return {"env": _airflow(known), "passwords.json": passwords, "signing.pem": known["signing"]}


def _airflow(known: Mapping[str, str]) -> str:
    database = _database(known, "airflow", "airflow")
    return _lines(
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
        AIRFLOW__CORE__FERNET_KEY=known["fernet"],
        AIRFLOW__API__SECRET_KEY=known["session"],
        AIRFLOW__API_AUTH__JWT_SECRET=known["jwt"],
        AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
        AIRFLOW__CELERY__BROKER_URL=f"redis://:{known['valkey']}@valkey:6379/0",
        GAVEL_PUSH_TOKEN=known["push_token"],
        **_s3(known, "pipeline"),
    )


def _mlflow(known: Mapping[str, str]) -> str:
    return _lines(MLFLOW_BACKEND_STORE_URI=_database(known, "mlflow", "mlflow"), **_s3(known, "mlflow"))


def _serving(known: Mapping[str, str]) -> str:
    release_key = public_key(_key(known["signing"]))
    return _lines(SERVING_PUSH_TOKEN=known["push_token"], SERVING_RELEASE_KEY=release_key, **_s3(known, "serving"))


def _pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _key(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def _people(known: Mapping[str, str]) -> str:
    return _lines(LOGIN_PASSWORD=known["login"], CLIENT_KEY=known["key_client"], **_s3(known, "pipeline"))


def _database(known: Mapping[str, str], secret: str, name: str, user: str | None = None) -> str:
    return f"postgresql://{user or name}:{known[f'database_{secret}']}@postgres:5432/{name}"


def _s3(known: Mapping[str, str], who: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": known[f"s3_{who}_id"], "AWS_SECRET_ACCESS_KEY": known[f"s3_{who}_secret"]}


def _lines(**values: str) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def write(path: Path, text: str, user: int) -> None:
    """Replace a file at once by one that only ``user`` may read."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fsync(file.fileno())
    os.chown(aside, user, user)
    aside.replace(path)


def main(root: Path, data: Mapping[Path, int]) -> None:
    """Lay out the secrets below ``root`` and give each folder of ``data`` to the user who writes there."""
    if (root / "all" / UNFINISHED).exists():
        raise SystemExit("A restore was broken off, so there is half of the state only: make restore FROM=FILE FORCE=1")
    known = read_or_make(root / "all" / "secrets.json")
    for name, folder in folders(known).items():
        (root / name).chmod(READABLE_FOLDER)
        for file, text in folder.files.items():
            write(root / name / file, text, folder.user)
    if not (root / "serving" / "credentials.json").exists():
        write(root / "serving" / "credentials.json", credentials(known), SERVING)
    os.chown(root / "serving", SERVING, SERVING)  # `keys` changes the file there
    for path, user in data.items():
        os.chown(path, user, user)


DATA = {"s3": S3, "logs": PIPELINE, "valkey": VALKEY, "prometheus": PROMETHEUS, "grafana": GRAFANA}

if __name__ == "__main__":
    main(Path("/secrets"), {Path("/data", name): user for name, user in DATA.items()})

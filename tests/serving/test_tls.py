"""serving/tls.py, and that the server speaks TLS"""

import datetime as dt
import ipaddress
import ssl
import subprocess
from http.client import HTTPSConnection

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from serving.errors import SettingsInvalid
from serving.settings import Settings
from serving.tls import TlsFiles, tls_files
from tests.serving.process import command, free_port, wait_for


def write_pair(folder, name, password=None):
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gavel test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden))
    return certificate_file, key_file


@pytest.fixture
def pair(tmp_path):
    return write_pair(tmp_path, "one")


def settings(certificate, key):
    return Settings(tls_certificate=certificate, tls_key=key)


def test_without_files_there_is_no_tls():
    """That is the default."""
    assert tls_files(Settings()) is None


def test_a_certificate_and_its_key_are_accepted(pair):
    """As they are."""
    assert tls_files(settings(*pair)) == TlsFiles(*pair)


@pytest.mark.parametrize("kept", [0, 1])
def test_one_file_alone_is_refused(pair, kept):
    """Not served in the clear by mistake."""
    given = [path if place == kept else None for place, path in enumerate(pair)]
    with pytest.raises(SettingsInvalid, match="set SERVING_TLS_CERTIFICATE and SERVING_TLS_KEY, or neither"):
        tls_files(settings(*given))


@pytest.mark.parametrize(("gone", "name"), [(0, "CERTIFICATE"), (1, "KEY")])
def test_a_file_that_is_away_is_named(pair, gone, name):
    """With the setting that names it."""
    pair[gone].unlink()
    with pytest.raises(SettingsInvalid, match=f"SERVING_TLS_{name}: .* cannot be read: No such file"):
        tls_files(settings(*pair))


def test_the_key_of_another_certificate_is_refused(pair, tmp_path):
    """Before the first client meets it."""
    _, other = write_pair(tmp_path, "two")
    with pytest.raises(SettingsInvalid, match=r"two\.key is not the key of the certificate .*one\.crt"):
        tls_files(settings(pair[0], other))


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff" * 100])
def test_what_is_no_pem_is_refused(pair, broken, content):
    """In one sentence."""
    pair[broken].write_bytes(content)
    with pytest.raises(SettingsInvalid, match="must be PEM files of a certificate and its private key"):
        tls_files(settings(*pair))


def test_an_encrypted_key_is_refused_and_nobody_is_asked(tmp_path):
    """A server without a terminal would wait for ever."""
    with pytest.raises(SettingsInvalid, match="the key is encrypted"):
        tls_files(settings(*write_pair(tmp_path, "hidden", b"hush")))


@pytest.fixture
def served(pair, root):
    port = free_port()
    chosen = command(store=f"file:{root}", port=port, drain_seconds=0, tls_certificate=pair[0], tls_key=pair[1])
    with (root.parent / "serving.log").open("wb") as log:
        process = subprocess.Popen(**chosen, stderr=log)
    yield port, pair[0], process
    process.kill()
    process.wait()


def ask(port, certificate):
    connection = HTTPSConnection("127.0.0.1", port, timeout=5, context=ssl.create_default_context(cafile=certificate))
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


def test_a_client_that_trusts_the_certificate_is_answered(served):
    """Over HTTPS; one that does not trust it, or speaks without TLS, is not."""
    port, certificate, process = served
    assert wait_for(lambda: process.poll() is None and ask(port, certificate)) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, None)


def test_the_process_says_what_is_wrong_and_ends(pair, root):
    """One sentence, no trace."""
    found = subprocess.run(
        **command(store=f"file:{root}", port=0, tls_certificate=pair[0]), capture_output=True, text=True, timeout=30
    )
    assert found.returncode != 0
    assert "TLS needs both files" in found.stderr
    assert "Traceback" not in found.stderr

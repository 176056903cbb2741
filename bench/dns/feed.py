"""Serves a change feed for verge-geodns in place of an origin: a snapshot of edges and sites, then heartbeats.

    feed.py WORLD PORT

There are two edges in each data centre, forced up because probes of them would fail. Each name of the test data is a live site.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HEARTBEAT_SECONDS = 2


def rows(world):
    for line in (world / "centres.tsv").read_text("utf-8").splitlines():
        name, latitude, longitude, *addresses = line.split("\t")
        for number, (ipv4, ipv6) in enumerate(zip(addresses[:2], addresses[2:]), start=1):
            location = f"{latitude},{longitude}"
            yield f"edge/{name}-{number}", {"addresses": [ipv4, ipv6], "location": location, "force": "up"}
    for name in (world / "names").read_text("utf-8").split():
        site = name.split(".")[0]
        yield f"channel/{site}/live", {"epoch": 1, "release": "v1", "manifest": "0" * 64}


def events(world):
    last = 0
    for last, (key, value) in enumerate(rows(world), start=1):
        yield "row", {"key": key, "seq": last, "value": value}
    yield "caught-up", {"position": f"1-{last}"}
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        yield "heartbeat", {}


class Feed(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for name, data in events(Path(sys.argv[1])):
                self.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        except OSError:
            pass  # The subscriber disconnected.

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Feed).serve_forever()

"""An origin with edges as processes, or with light edges in one process, on loopback."""

import http.client
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/chaos"))

from daemons import TIMEOUT, Daemon, free_ports, request, text, until  # noqa: E402

SITE = "demo"


class Fleet:
    """An origin without edges. Close it."""

    def __init__(self, folder, binaries):
        self.folder, self.binaries, self.edges, self.light = folder, binaries, [], None
        # Two connections of each light edge.
        resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
        ports = free_ports(2)
        self.origin = Daemon(binaries / "verge-origin", folder, "origin", ports, {"sites_url": "http://localhost"})
        self.origin.start()
        self.origin.wait_until_up()
        self.token = (self.origin.data / "admin-token").read_text().strip()
        self.url = f"http://{text(self.origin.listen)}"

    def add_edge(self, number, origin=None, **settings):
        """Starts an edge that reaches the origin at its own address, or at `origin`."""
        name = f"edge-{number}"
        url = f"http://{text(origin)}" if origin else self.url
        settings = {"name": name, "origins": [url], "token": self.issue_token(name), "base_domain": "localhost", **settings}
        edge = Daemon(self.binaries / "verge-edge", self.folder, name, free_ports(2), settings)
        edge.start()
        edge.wait_until_up()
        self.edges.append(edge)
        return edge

    def add_light_edges(self, count):
        pairs = [(name, self.issue_token(name)) for name in (f"light-{number}" for number in range(count))]
        (self.folder / "light").write_text("".join(f"{name} {token}\n" for name, token in pairs))
        with open(self.folder / "light.log", "wb") as log:
            command = [ROOT / "target/release/examples/light_edges", self.url, self.folder / "light"]
            self.light = subprocess.Popen(command, stdout=log, stderr=log)

    def issue_token(self, name):
        return self.api("POST", f"/v1/edges/{name}/token")["token"]

    def api(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        status, _, answer = request(self.origin.listen, path, headers=headers, method=method, body=body and json.dumps(body))
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]}")
        return json.loads(answer) if answer else None

    def wait_until_live(self, count):
        live = lambda: sum(edge["live"] for edge in self.api("GET", "/v1/edges"))
        until(f"{count} edges are live", lambda: live() == count)

    def push(self, folder, *options):
        """Pushes a folder. Returns what the command prints."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "VERGE_ORIGIN": self.url, "VERGE_TOKEN": self.token}
        command = [self.binaries / "verge", "push", folder, "--site", SITE, "--json", *options]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=10 * TIMEOUT)
        if done.returncode:
            raise RuntimeError(f"verge push ended with {done.returncode}: {done.stderr[-300:]}")
        return json.loads(done.stdout)

    def move(self, release, epoch):
        """Moves the live channel to a release. Returns its epoch, and the times of the events."""
        events, times = self.follow("channels/live", {"release": release, "expected": epoch})
        return events["released"]["epoch"], times

    def purge(self, scope):
        """Purges paths. Returns the times of the events."""
        return self.follow("purges", {"scope": scope})[1]

    def follow(self, path, body):
        """Sends a request about the site that is answered with a stream of events, in which all edges confirm. Returns the last event of
        each name, and when the client saw it, in seconds since the request."""
        connection = http.client.HTTPConnection(*self.origin.listen, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        start = time.perf_counter()
        connection.request("POST", f"/v1/sites/{SITE}/{path}", json.dumps(body), headers)
        lines = [(time.perf_counter() - start, line) for line in connection.getresponse() if line.strip()]
        connection.close()
        events, times = {}, {}
        for seconds, line in lines:
            event = json.loads(line)
            events[event["event"]], times[event["event"]] = event, seconds
        if events.get("finished", {"lagging": None})["lagging"] != []:
            raise RuntimeError(f"{path} {body} failed: {event}")
        return events, times

    def close(self):
        for daemon in [*self.edges, self.origin]:
            daemon.kill()
        if self.light:
            self.light.kill()
            self.light.wait()

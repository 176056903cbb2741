"""An origin and two edges as processes, with clients."""

import contextlib
import http.client
import json
import os
import random
import socket
import sqlite3
import subprocess
import threading
import time

from clients import SITES, Reader, Writer, digest, files, release_number
from ledger import Ledger

# How long anything may take, in seconds.
TIMEOUT = 90


class Daemon:
    """A process with a configuration file, a log, and a data directory in `folder`/NAME."""

    def __init__(self, binary, folder, name, ports, settings):
        (folder / name).mkdir(exist_ok=True)
        self.name, self.data, self.listen, self.private = name, folder / name / "data", *ports
        self.command, self.log = [binary, "--config", folder / f"{name}.toml"], folder / f"{name}.log"
        settings = {"data": str(self.data), "listen": f"127.0.0.1:{self.listen}", "private_listen": f"127.0.0.1:{self.private}", **settings}
        (folder / f"{name}.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        self.process, self.starts, self.is_up, self.up_since = None, 0, False, 0.0

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        self.starts += 1

    def wait_until_up(self):
        def answers():
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}: see {self.log}")
            try:
                return request(self.private, "/healthz")
            except OSError:
                return None

        until(f"{self.name} answers", answers)
        self.is_up, self.up_since = True, time.monotonic()

    def is_up_for(self, seconds):
        return self.is_up and time.monotonic() - self.up_since > seconds

    def kill(self):
        self.is_up = False
        if self.process:
            self.process.kill()
            self.process.wait()


class Cluster:
    """The daemons, a writer for each site, and a reader for each site and edge. `ledger` has what they record."""

    def __init__(self, folder, binaries, seed):
        self.folder, self.binaries, self.ledger = folder, binaries, Ledger()
        self.stopped, self.paused, self.write_began = threading.Event(), threading.Event(), threading.Event()
        self.audited = set()  # digests of contents and manifests
        ports = free_ports(6)
        self.origin = Daemon(binaries / "verge-origin", folder, "origin", ports[:2], {"sites_url": f"http://localhost:{ports[2]}"})
        self.edges, self.daemons = [], [self.origin]
        self.writers = [Writer(self, site, random.Random(f"{seed} {site}")) for site in SITES]
        self.readers = []
        self.seed, self.edge_ports = seed, [ports[2:4], ports[4:]]

    def start(self):
        """Starts the daemons, releases each site once, and starts the clients when all edges serve all sites."""
        self.origin.start()
        self.origin.wait_until_up()
        token, url = (self.origin.data / "admin-token").read_text().strip(), f"http://127.0.0.1:{self.origin.listen}"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "VERGE_ORIGIN": url, "VERGE_TOKEN": token}
        for number, ports in enumerate(self.edge_ports, 1):
            name, headers = f"edge-{number}", {"Authorization": f"Bearer {token}"}
            issued = json.loads(request(self.origin.listen, f"/v1/edges/{name}/token", headers=headers, method="POST")[2])
            settings = {"name": name, "origins": [url], "token": issued["token"], "base_domain": "localhost"}
            edge = Daemon(self.binaries / "verge-edge", self.folder, name, ports, settings)
            self.edges.append(edge)
            self.daemons.append(edge)
            edge.start()
            edge.wait_until_up()
            self.readers += [Reader(self, edge, site, random.Random(f"{self.seed} {name} {site}")) for site in SITES]
        for writer in self.writers:
            writer.push()
        self.converge()
        for thread in self.writers + self.readers:
            thread.start()

    def close(self):
        self.stopped.set()
        for process in self.daemons + self.writers:
            process.kill()
        for thread in self.writers + self.readers:
            if thread.is_alive():
                thread.join()

    def rows(self):
        """The moves of live channels, site to [(epoch, release number)], and tags, (site, release number) to tag."""
        moves, tags = {}, {}
        with self.database() as database:
            for site, *move in database.execute("select site, epoch, release from channel_move where channel = 'live' order by epoch"):
                moves.setdefault(site, []).append(tuple(move))
            for site, number, tag in database.execute("select site, number, message from release"):
                tags[site, number] = tag
        return moves, tags

    def database(self):
        return contextlib.closing(sqlite3.connect(self.origin.data / "origin.db", timeout=TIMEOUT))

    def check(self):
        self.ledger.check(self.rows)
        self.audit()

    def audit(self):
        """Reads all releases in the origin that were not audited yet: manifest, files and encodings, blob by blob."""
        with self.database() as database:
            integrity = database.execute("pragma quick_check").fetchone()[0]
            database.execute("begin")  # one snapshot: writers are at work
            current = dict(database.execute("select key, value from state where key like 'channel/%'").fetchall())
            last = database.execute("select site, release, max(epoch) from channel_move where channel = 'live' group by site").fetchall()
            releases = database.execute(
                "select site, number, message, manifest, content from release left join manifest on manifest.id = manifest"
            ).fetchall()
        if integrity != "ok":
            self.ledger.fail("lost", database=integrity)
        for site, number, epoch in last:
            state = json.loads(current.get(f"channel/{site}/live") or "{}")
            if (release_number(state.get("release", "v0")), state.get("epoch")) != (number, epoch):
                self.ledger.fail("lost", site=site, moved_to=number, epoch=epoch, state=state)
        for site, number, tag, manifest, content in releases:
            try:
                if manifest not in self.audited:
                    self.audit_release(tag, manifest, json.loads(content))
                    self.audited.add(manifest)
                    self.ledger.count("releases audited")
            except (OSError, ValueError, TypeError) as error:
                self.ledger.fail("lost", site=site, release=number, tag=tag, error=str(error))

    def audit_release(self, tag, manifest, content):
        text = self.content(content)
        if digest(text) != manifest:
            raise ValueError(f"manifest {manifest} has other bytes")
        listed = json.loads(text)["files"]
        if {path: file["identity"]["digest"] for path, file in listed.items()} != {path: digest(data) for path, data in files(tag).items()}:
            raise ValueError(f"manifest {manifest} has other files")
        for file in listed.values():
            for content in [file["identity"], *file.get("encodings", {}).values()]:
                if content["digest"] not in self.audited:
                    self.content(content)
                    self.audited.add(content["digest"])

    def content(self, content):
        """The bytes of a content, which match its digest."""
        blobs = content.get("blobs") or [content["digest"]]
        data = b"".join((self.origin.data / "objects/blobs" / blob[:2] / blob).read_bytes() for blob in blobs)
        if digest(data) != content["digest"]:
            raise ValueError(f"content {content['digest']} has other bytes")
        return data

    def converge(self):
        """Pauses the writers, and checks that every edge serves all files of the last move of each site."""
        self.paused.set()
        until("all writers pause", lambda: all(writer.is_paused or not writer.is_alive() for writer in self.writers))
        moves, tags = self.rows()
        for edge in self.edges:
            for site in SITES:
                host, number = f"{site}.localhost", moves[site][-1][1]
                serves = lambda: request(edge.listen, "/", host)[1]["Verge-Release"] == f"v{number}"
                until(f"{edge.name} serves v{number} of {site}", serves)
                for path, data in files(tags[site, number]).items():
                    status, _, body = request(edge.listen, f"/{path.removesuffix('index.html')}", host)
                    if (status, body) != (200, data):
                        self.ledger.fail("failed", edge=edge.name, site=site, release=number, path=path, status=status, bytes=len(body))
                    self.ledger.count("reads verified")
        self.paused.clear()

    def wait_for_write(self):
        """Waits until a write begins."""
        self.write_began.clear()
        until("a write begins", lambda: self.write_began.wait(1))

    def wait_for_move(self):
        before = self.ledger.counts["acknowledged moves"]
        until("a move is acknowledged", lambda: self.ledger.counts["acknowledged moves"] > before)

    def wait_for_readers(self):
        """Waits until each reader has asked for a page and got a response."""
        before = [reader.pages for reader in self.readers]
        until("all sites are read", lambda: all(reader.pages > seen for reader, seen in zip(self.readers, before)))

    def writing(self):
        """The number of commands that are running."""
        return sum(writer.process.poll() is None for writer in self.writers)


def until(what, condition, seconds=TIMEOUT):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"expected within {seconds} s that {what}")
        time.sleep(0.01)


def request(port, path, host="localhost", headers=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers={"Host": host, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports

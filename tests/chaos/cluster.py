"""An origin and edges as processes, with clients."""

import contextlib
import json
import os
import random
import sqlite3
import threading

from clients import SITES, Reader, Writer, digest, files, release_number
from daemons import TIMEOUT, Daemon, free_ports, request, text, until
from ledger import Ledger


class Cluster:
    """The daemons, a writer for each site, and readers. `ledger` has what they record. With `hosts`, name to host, each daemon is on
    its own; else all are on this one."""

    def __init__(self, folder, binaries, seed, edges=2, hosts=None):
        self.folder, self.binaries, self.seed, self.hosts = folder, binaries, seed, hosts or {}
        self.ledger, self.audited, self.erased = Ledger(), set(), set()  # digests of contents and manifests; tags of releases
        self.stopped, self.paused, self.write_began = threading.Event(), threading.Event(), threading.Event()
        self.names = [f"edge-{number}" for number in range(1, edges + 1)]
        # On a host of its own a daemon may have any ports.
        ports = {name: [7400, 7401] if hosts else free_ports(2) for name in ["origin", *self.names]}
        sites_url = f"http://localhost:{ports['edge-1'][0]}"
        self.origin = Daemon(binaries / "verge-origin", folder, "origin", ports["origin"], {"sites_url": sites_url}, self.hosts.get("origin"))
        self.ports, self.edges, self.daemons = ports, [], [self.origin]
        self.options = ["--insecure"] if hosts else []  # of commands
        self.writers = [Writer(self, site, random.Random(f"{seed} {site}")) for site in SITES]
        self.readers = []

    def start(self):
        """Starts the daemons, releases each site once, and starts the clients when all edges serve all sites."""
        self.origin.start()
        self.origin.wait_until_up()
        self.token, self.url = (self.origin.data / "admin-token").read_text().strip(), f"http://{text(self.origin.listen)}"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "VERGE_ORIGIN": self.url, "VERGE_TOKEN": self.token}
        for name in self.names:
            token = self.api("POST", f"/v1/edges/{name}/token")["token"]
            settings = {"name": name, "token": token, "base_domain": "localhost", **self.edge_settings(name)}
            edge = Daemon(self.binaries / "verge-edge", self.folder, name, self.ports[name], settings, self.hosts.get(name))
            self.edges.append(edge)
            self.daemons.append(edge)
            edge.start()
            edge.wait_until_up()
        self.readers = self.create_readers()
        for writer in self.writers:
            writer.push()
        self.converge()
        for thread in self.writers + self.readers:
            thread.start()

    def edge_settings(self, name):
        return {"origins": [self.url]}

    def create_readers(self):
        """A reader for each site and edge."""
        chance = lambda edge, site: random.Random(f"{self.seed} {edge.name} {site}")
        return [Reader(self, edge, site, chance(edge, site)) for edge in self.edges for site in SITES]

    def api(self, method, path):
        headers = {"Authorization": f"Bearer {self.token}"}
        return json.loads(request(self.origin.listen, path, headers=headers, method=method)[2])

    def close(self):
        self.stopped.set()
        for process in self.daemons + self.writers:
            process.kill()
        for thread in self.writers + self.readers:
            if thread.is_alive():
                thread.join()

    def rows(self):
        """The moves of live channels, site to [(epoch, release number, time)], and tags, (site, release number) to tag."""
        moves, tags = {}, {}
        with self.database() as database:
            columns = "site, epoch, release, moved / 1000.0"
            for site, *move in database.execute(f"select {columns} from channel_move where channel = 'live' order by epoch"):
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
                if manifest not in self.audited and tag not in self.erased:
                    self.audit_release(tag, manifest, json.loads(content))
                    self.audited.add(manifest)
                    self.ledger.count("releases audited")
            except (OSError, ValueError, TypeError) as error:
                self.ledger.fail("lost", site=site, release=number, tag=tag, error=str(error))

    def audit_release(self, tag, manifest, content):
        listed = self.manifest_files(manifest, content)
        if {path: file["identity"]["digest"] for path, file in listed.items()} != {path: digest(data) for path, data in files(tag).items()}:
            raise ValueError(f"manifest {manifest} has other files")
        for file in listed.values():
            for content in [file["identity"], *file.get("encodings", {}).values()]:
                if content["digest"] not in self.audited:
                    self.content(content)
                    self.audited.add(content["digest"])

    def manifest_files(self, manifest, content):
        """The files of a manifest, whose bytes are `content`, path to contents."""
        data = self.content(content)
        if digest(data) != manifest:
            raise ValueError(f"manifest {manifest} has other bytes")
        return json.loads(data)["files"]

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
            for site in (writer.site for writer in self.writers):
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

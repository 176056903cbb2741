"""Readers who change edges: a page from one, its chunks from others, and chunks of tabs that were opened before later releases."""

import collections
import http.client
import json
import re
import threading
import time

from clients import REQUEST_TIMEOUT, digest, files, release_number
from daemons import request

HEALTH = "/.well-known/verge/health"
# How many releases back a tab may be: so many are inherited.
INHERITED_MAX = 8


class Directory(threading.Thread):
    """Which edges readers are sent to, as a name server decides it: those that answer probes, can serve, and are not draining."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.edges, self.starts = cluster, [], {}  # name of an edge to its starts by its last probe

    def run(self):
        while not self.cluster.stopped.is_set():
            starts = {edge.name: edge.starts for edge in self.cluster.edges}
            self.edges = [edge for edge in self.cluster.edges if edge.is_up and self.is_serving(edge)]
            self.starts = starts
            time.sleep(0.1)

    @staticmethod
    def is_serving(edge):
        try:
            status, _, body = request(edge.listen, HEALTH)
            return status == 200 and not json.loads(body)["draining"]
        except (OSError, http.client.HTTPException):
            return False


class Visitor(threading.Thread):
    """Reads all sites from all edges as a browser would, and checks every response."""

    def __init__(self, cluster, directory, chance):
        super().__init__()
        self.cluster, self.ledger, self.directory, self.chance = cluster, cluster.ledger, directory, chance
        self.pages = 0
        self.tabs = collections.deque(maxlen=40)  # (writer of the site, tag, release number)

    def run(self):
        while not self.cluster.stopped.is_set():
            edge = self.choose_edge()
            if edge:
                self.visit(edge, self.chance.choice(self.cluster.writers))
            time.sleep(0.02)

    def choose_edge(self):
        edges = self.directory.edges
        return self.chance.choice(edges) if edges else None

    def visit(self, edge, writer):
        page = self.read(edge, writer.site, "/")
        if page is None:
            return
        tab = (writer, *self.shown)
        self.tabs.append(tab)
        for path in re.findall(rb'src="(/[^"]+)"', page):
            # Scripts are fetched at once, or by a slow reader after a while.
            time.sleep(self.chance.choice([0, 0, 0, self.chance.uniform(0, 2)]) if self.chance.random() < 0.2 else 0)
            self.read_elsewhere(*tab, path.decode(), "chunks of the page")
        path = self.chance.choice(["/data.json", "/media.bin", "/"])
        # The first edge may have stopped since.
        if edge := self.choose_edge():
            self.read(edge, writer.site, path, method=self.chance.choice(["HEAD", "range", "revalidate"]))
        tab = self.chance.choice(self.tabs)
        lazy = next(path for path in files(tab[1]) if "/lazy-" in path)
        self.read_elsewhere(*tab, f"/{lazy}", "chunks of open tabs")

    def read_elsewhere(self, writer, tag, number, path, what):
        """Reads a chunk from any edge, unless there were so many moves that its release may not be inherited any more."""
        edge = self.choose_edge()
        if edge and writer.moves_since(tag, number) < INHERITED_MAX and self.read(edge, writer.site, path, tag):
            self.ledger.count(what)

    def read(self, edge, site, path, tag=None, method="GET"):
        """Returns the body, if it is that of a release: of `tag`, if it is given."""
        era, key = self.ledger.era, (edge.name, site)
        confirmed, kills, was_up = self.ledger.confirmed[key], edge.kills, edge.is_up
        was_cut, was_probed = edge.name in self.cluster.cut_off, self.directory.starts.get(edge.name) == edge.starts
        try:
            status, headers, body = self.get(edge, site, path, method)
        except (OSError, http.client.HTTPException) as error:
            if not was_up or kills != edge.kills:
                return self.ledger.count("reads without an answer: the edge was killed")
            return self.fail("failed", edge, site, path, error=repr(error))
        if status in (404, 503) and tag and (was_cut or edge.name in self.cluster.cut_off):
            # Its last rows are from before the rollout, or it was cut off while it prepared; the channel has moved without it.
            what = "did not know" if status == 404 else "had not fetched"
            return self.ledger.count(f"chunks that an edge without an origin {what}")
        if status == 503 and not was_probed:
            return self.ledger.count("reads without an answer: the edge was restarted before readers were sent elsewhere")
        if status not in (200, 206, 304):
            return self.fail("missing" if status == 404 else "failed", edge, site, path, tag=tag, status=status, start=repr(body[:80]))
        shown = headers["Verge-Release"]
        self.ledger.count("reads verified")
        if method != "GET":
            return None
        if tag is None:
            mark = re.search(rb"release (([a-z]+)-\d+) ", body[:200])
            tag = mark and mark[2].decode() == site and mark[1].decode()
            if tag in self.ledger.issued:
                self.pages += path == "/"
                self.shown = (tag, release_number(shown))
                self.ledger.show(era, (self.name, *key), confirmed, *reversed(self.shown))
        if tag not in self.ledger.issued or body != files(tag).get("index.html" if path == "/" else path[1:]):
            return self.fail("mixed", edge, site, path, tag=tag, release=shown, bytes=len(body), start=repr(body[:60]))
        return body

    def get(self, edge, site, path, method):
        """Sends a request. For `range` and `revalidate` it is preceded by one for the whole file, with which the response is compared."""
        connection = http.client.HTTPConnection(*edge.listen, timeout=REQUEST_TIMEOUT)
        try:
            ask = lambda method="GET", **headers: self.ask(connection, site, path, method, headers)
            if method == "GET":
                return ask()
            whole = ask()
            etag = whole[1]["ETag"]
            if whole[0] != 200 or etag != f'"{digest(whole[2])}"':
                return whole if whole[0] != 200 else (500, whole[1], f"ETag {etag} of other bytes".encode())
            if method == "HEAD":
                status, headers, body = ask("HEAD")
                is_right = status == 200 and (headers["ETag"] != etag or headers["Content-Length"] == str(len(whole[2]))) and not body
            elif method == "range":
                first = self.chance.randrange(len(whole[2]))
                last = self.chance.randrange(first, len(whole[2]))
                status, headers, body = ask(Range=f"bytes={first}-{last}", **{"If-Range": etag})
                # After a switch it is the whole file of another release.
                is_right = headers["ETag"] != etag if status == 200 else status == 206 and body == whole[2][first : last + 1]
            else:
                status, headers, body = ask(**{"If-None-Match": etag})
                is_right = headers["ETag"] != etag if status == 200 else status == 304 and not body
            return (status, headers, body) if is_right or status not in (200, 206, 304) else (500, headers, b"wrong answer to " + method.encode())
        finally:
            connection.close()

    @staticmethod
    def ask(connection, site, path, method, headers):
        connection.request(method, path, headers={"Host": f"{site}.localhost", **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    def fail(self, rule, edge, site, path, **details):
        if self.cluster.stopped.is_set():
            return
        since = {daemon.name: round(time.monotonic() - daemon.up_since, 1) for daemon in self.cluster.daemons}
        self.ledger.fail(rule, edge=edge.name, site=site, path=path, up_for=since, phase=self.cluster.phase, **details)

"""Faults that readers meet, planted in a server of this process, and the rules under which readers report them."""

import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from clients import Reader, digest, files
from ledger import Ledger
from visitors import INHERITED_MAX, Visitor

TAG, OTHER = "alpha-1", "alpha-2"
APP, LAZY = (next(f"/{path}" for path in files(TAG) if name in path) for name in ("/app-", "/lazy-"))


class Handler(BaseHTTPRequestHandler):
    """Serves the files of a release as an edge does, but for what `fault` makes of a response: (status, headers, body), or none."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        data = files(TAG).get("index.html" if self.path == "/" else self.path[1:], b"")
        etag = f'"{digest(data)}"'
        headers = {"ETag": etag, "Verge-Release": "v1", "Content-Length": str(len(data))}
        response = (200, headers, data if self.command == "GET" else b"")
        if self.headers["If-None-Match"] == etag:
            response = (304, {**headers, "Content-Length": "0"}, b"")
        elif asked := self.headers["Range"]:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            response = (206, {**headers, "Content-Length": str(last + 1 - first)}, data[first : last + 1])
        if response := self.server.fault(self, *response):
            status, headers, body = response
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = not response or str(len(response[2])) != response[1]["Content-Length"]

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        """Prints nothing."""


def right(_, *response):
    return response


def error(status):
    return lambda request, *_: (status, {"Verge-Release": "v1", "Content-Length": "5"}, b"error" if request.command == "GET" else b"")


def with_body(change, *statuses):
    """A fault in the bodies of responses with these statuses; else of all."""

    def fault(request, status, headers, body):
        if request.command == "GET" and status in (statuses or (200, 206)):
            body = change(body)
            headers = {**headers, "Content-Length": str(len(body))}
        return status, headers, body

    return fault


def with_header(name, value, method="GET"):
    return lambda request, status, headers, body: (status, {**headers, **({name: value} if request.command == method else {})}, body)


def lost(*_):
    return None


def cut_short(_, status, headers, body):
    return status, headers, body[: len(body) // 2]


def never_unchanged(request, status, headers, body):
    data = files(TAG)[request.path[1:]]
    return (200, {**headers, "Content-Length": str(len(data))}, data) if status == 304 else (status, headers, body)


def other_page(_):
    return files(OTHER)["index.html"]


def other_file(_):
    return files(OTHER)["data.json"]


def altered(body):
    return body[:-1] + b"?"


# What is read, the fault, the rule that is broken, if any, and what else is the case.
CHUNK, PAGE = {"path": APP, "tag": TAG}, {"path": "/"}
RANGE, HEAD, REVALIDATION = ({"path": "/media.bin", "method": method} for method in ["range", "HEAD", "revalidate"])
VISITS = [
    *((read, right, None, {}) for read in [CHUNK, PAGE, RANGE, HEAD, REVALIDATION]),
    (CHUNK, error(404), "missing", {}),
    (PAGE, error(404), "missing", {}),
    (RANGE, error(404), "missing", {}),
    *((read, error(503), "failed", {}) for read in [CHUNK, PAGE, RANGE, HEAD, REVALIDATION]),
    (CHUNK, error(500), "failed", {}),
    *((read, fault, "failed", {}) for read in [CHUNK, PAGE, RANGE] for fault in [lost, cut_short]),
    *((CHUNK, with_body(change), "mixed", {}) for change in [other_file, altered]),
    (PAGE, with_body(altered), "mixed", {}),
    (PAGE, with_body(other_page), "mixed", {"issued": {TAG}}),
    (PAGE, with_body(lambda _: b"no release"), "mixed", {}),
    (RANGE, with_body(altered), "failed", {}),
    (RANGE, with_body(altered, 206), "failed", {}),
    (RANGE, with_body(lambda body: body + b"?", 206), "failed", {}),
    (RANGE, with_header("ETag", f'"{digest(b"")}"'), "failed", {}),
    (HEAD, with_header("Content-Length", "7", "HEAD"), "failed", {}),
    (HEAD, with_header("ETag", f'"{digest(b"")}"', "HEAD"), None, {}),  # after a switch
    (REVALIDATION, never_unchanged, "failed", {}),
    # A chunk that an edge does not know or has not fetched because it is cut off, and only that.
    *((CHUNK, error(status), None, {"cut_off": "edge-1"}) for status in [404, 503]),
    *((CHUNK, error(status), rule, {"cut_off": "edge-2"}) for status, rule in [(404, "missing"), (503, "failed")]),
    *((PAGE, error(status), rule, {"cut_off": "edge-1"}) for status, rule in [(404, "missing"), (503, "failed")]),
    *((CHUNK, fault, rule, {"cut_off": "edge-1"}) for fault, rule in [(error(500), "failed"), (lost, "failed"), (with_body(altered), "mixed")]),
    # No answer of an edge that is down or was killed meanwhile, and only that.
    *((CHUNK, lost, None, {when: True}) for when in ["is_down", "is_killed"]),
    *((CHUNK, error(status), rule, {"is_killed": True}) for status, rule in [(404, "missing"), (503, "failed")]),
    (CHUNK, with_body(altered), "mixed", {"is_killed": True}),
    # Of one that was restarted before the directory has noticed.
    *((CHUNK, error(status), rule, {"is_probed": False}) for status, rule in [(503, None), (404, "missing"), (500, "failed")]),
]
READS = [
    *((read, right, None, {}) for read in [CHUNK, PAGE]),
    (CHUNK, error(404), "missing", {}),
    (CHUNK, error(500), "failed", {}),
    *((read, fault, "failed", {}) for read in [CHUNK, PAGE] for fault in [lost, cut_short, error(503)]),
    *((CHUNK, fault, None, {"is_down": True}) for fault in [lost, error(503)]),
    (CHUNK, lost, None, {"is_killed": True}),
    *((CHUNK, fault, rule, {"is_down": True}) for fault, rule in [(error(404), "missing"), (error(500), "failed"), (with_body(altered), "mixed")]),
    *((PAGE, with_body(change), "mixed", {}) for change in [altered, other_file]),
    (PAGE, lambda *_: (404, {"Content-Length": "0"}, b""), "older", {}),  # no site at all
]


class World:
    """A server with a fault that stands for an edge, and the cluster of which it is."""

    def __init__(self, server, fault, issued=(TAG, OTHER), cut_off=None, is_down=False, is_killed=False, is_probed=True, moves=0):
        self.edge = SimpleNamespace(name="edge-1", listen=server.server_address, kills=0, starts=1, is_up=not is_down, up_since=0)
        self.edge.is_up_for = lambda _: self.edge.is_up
        self.ledger = Ledger()
        self.ledger.issued.update(issued)
        writer = SimpleNamespace(site="alpha", moves_since=lambda *_: moves)
        self.cluster = SimpleNamespace(
            ledger=self.ledger, cut_off={cut_off}, stopped=threading.Event(), phase="self-test", daemons=[self.edge], writers=[writer]
        )

        self.directory = SimpleNamespace(edges=[self.edge], starts={"edge-1": int(is_probed)})

        def respond(*response):
            if is_killed:
                self.edge.kills, self.edge.starts = 1, 2
            return fault(*response)

        server.fault = respond

    def visit(self, path, **options):
        """Lets a visitor read a path. Returns the rules that are broken, and what was shown."""
        Visitor(self.cluster, self.directory, random.Random(1)).read(self.edge, "alpha", path, **options)
        return self.found()

    def read(self, path, tag=None):
        """Lets a reader read a path."""
        reader = Reader(self.cluster, self.edge, "alpha", random.Random(1))
        reader.read(path, named_by=tag and files(tag)["index.html"])
        if reader.connection:
            reader.connection.close()
        return self.found()

    def browse(self):
        """Lets a visitor read a page and what belongs to it."""
        Visitor(self.cluster, self.directory, random.Random(3)).visit(self.edge, self.cluster.writers[0])
        return self.found()[0]

    def found(self):
        return list(self.ledger.broken), [(number, tag) for _, _, number, tag, _ in self.ledger.shown]


def self_test():
    """Shows that readers report each fault under its rule, and no other, and nothing where there is none."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for table, read in [(VISITS, World.visit), (READS, World.read)]:
            for number, (request, fault, rule, case) in enumerate(table):
                broken, shown = read(World(server, fault, **case), **request)
                assert broken == ([rule] if rule else []), (read.__name__, number, request, case, broken, rule)
                assert rule or shown == ([(1, TAG)] if request == PAGE else []), (read.__name__, number, shown)
        only = lambda path, fault: lambda request, *response: (fault if request.path == path else right)(request, *response)
        for fault, expected in [(right, []), (only(APP, error(404)), ["missing"]), (only(LAZY, error(404)), ["missing"])]:
            assert World(server, fault).browse() == expected, expected
        assert World(server, only(LAZY, error(404)), moves=INHERITED_MAX).browse() == [], "of a tab that is too old"
    finally:
        server.shutdown()
        server.server_close()
    print("planted faults of servers are found")


if __name__ == "__main__":
    self_test()

#!/usr/bin/env python3
"""Loads pages while releases roll out, the page from one edge and each of its chunks from another, with one edge behind a slow link, and
counts those of which something is missing.

    skew.py [--chunks N…] [--releases N] [--edges N] [--readers N] [--binaries DIR]

All chunks of a release are new. The exit code is 1 if a load failed.
"""

import argparse
import collections
import hashlib
import http.client
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fleet import ROOT, SITE, Fleet, free_ports, text

# The round trip in ms, and bytes per second, between the last edge and the origin.
SLOW_LINK = {"delay": 200, "rate": 125_000}
# The size of all chunks of a release, in bytes.
RELEASE_SIZE = 400_000
# How long pages are loaded after a rollout has ended, in seconds.
AFTERWARDS = 3


def build(folder, release, chunks):
    """Writes a release, and returns what its page is and names: path to digest."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "assets").mkdir(parents=True)
    digests = {}
    for number in range(chunks):
        data = f"/* {release} {number} */".encode() + random.Random(f"{release} {number}").randbytes(RELEASE_SIZE // chunks).hex()[::2].encode()
        digest = hashlib.sha256(data).hexdigest()
        path = f"assets/chunk{number}-{digest[:10]}.js"
        (folder / path).write_bytes(data)
        digests[f"/{path}"] = digest
    (folder / "index.html").write_text("\n".join([f"<!doctype html>{release}", *(f'<script src="{path}"></script>' for path in digests)]))
    return digests


class Reader(threading.Thread):
    def __init__(self, edges, releases, stopped, seed):
        super().__init__()
        self.edges, self.releases, self.stopped, self.chance = edges, releases, stopped, random.Random(seed)
        self.connections, self.counts, self.failures = {}, collections.Counter(), []

    def run(self):
        while not self.stopped.is_set():
            begin = time.monotonic()
            edge = self.chance.choice(self.edges)
            status, page = self.get(edge, "/")
            release = page.decode().splitlines()[0].removeprefix("<!doctype html>") if status == 200 else None
            paths = self.releases.get(release, {})
            failures = [] if release in self.releases else [("/", edge.name, status)]
            for path in self.chance.sample(sorted(paths), len(paths)):
                edge = self.chance.choice(self.edges)
                status, data = self.get(edge, path)
                if status != 200 or hashlib.sha256(data).hexdigest() != paths[path]:
                    failures.append((path, edge.name, status))
            self.counts["loads"] += 1
            self.counts["requests"] += 1 + len(paths)
            self.counts["failed loads"] += bool(failures)
            self.counts["failed requests"] += len(failures)
            self.failures += [(release, *failure, round(begin, 3)) for failure in failures]

    def get(self, edge, path):
        connection = self.connections.setdefault(edge.name, http.client.HTTPConnection(*edge.listen, timeout=60))
        try:
            connection.request("GET", path, headers={"Host": f"{SITE}.localhost"})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return repr(error), b""


def measure(chunks, releases, edges, readers, binaries):
    folder = Path(tempfile.mkdtemp(prefix="verge-skew-"))
    fleet, link, stopped, threads = Fleet(folder, binaries), None, threading.Event(), []
    try:
        listen = ("127.0.0.1", free_ports(1)[0])
        command = [sys.executable, ROOT / "tests/chaos/slow_link.py", text(listen), text(fleet.origin.listen)]
        link = subprocess.Popen([*command, *(f"--{key}={value}" for key, value in SLOW_LINK.items())], stdout=subprocess.PIPE)
        link.stdout.readline()
        for number in range(edges):
            fleet.add_edge(number, listen if number == edges - 1 else None)
        fleet.wait_until_live(edges)
        known, times = {}, []
        for number in range(releases + 1):
            known[f"release {number}"] = build(folder / "build", f"release {number}", chunks)
            begin = time.monotonic()
            edges_of_push = fleet.push(folder / "build")["edges"]
            if len(edges_of_push["confirmed"]) != edges:
                raise RuntimeError(f"not every edge has confirmed: {edges_of_push}")
            if threads:
                times.append(time.monotonic() - begin)
                time.sleep(AFTERWARDS)
            else:
                threads = [Reader(fleet.edges, known, stopped, seed) for seed in range(readers)]
                for thread in threads:
                    thread.start()
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        fleet.close()
        if link:
            link.kill()
            link.wait()
        shutil.rmtree(folder)
    counts = sum((thread.counts for thread in threads), collections.Counter())
    for thread in threads:
        for failure in thread.failures[:5]:
            print(f"failed: {failure}", file=sys.stderr)
    return counts, sum(times) / len(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--releases", type=int, default=6)
    parser.add_argument("--edges", type=int, default=10)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    arguments = parser.parse_args()
    print("| chunks | releases | s per push | page loads | failed | requests | failed |\n|" + " ---: |" * 7, flush=True)
    has_failed = False
    for chunks in arguments.chunks:
        counts, seconds = measure(chunks, arguments.releases, arguments.edges, arguments.readers, arguments.binaries.resolve())
        numbers = [counts[name] for name in ("loads", "failed loads", "requests", "failed requests")]
        print(f"| {chunks:,} | {arguments.releases} | {seconds:.1f} | {' | '.join(f'{number:,}' for number in numbers)} |", flush=True)
        has_failed |= counts["failed loads"] > 0
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Serves a file that is much larger than memory, to one fast reader and many slow ones, and compares all that they get.

    memory.py [--mib 512] [--readers 100] [--seconds 20] [--limit 128] [--binaries DIR]

An edge that may keep 32 MiB of blobs in memory and 16 MiB on their way gets the file from its origin. One reader takes all of it as fast as it can,
the others, each on an address of their own, some 20 KB a second from anywhere in it. Printed is the most memory that the edge had. The exit code is
1 if that is more than `--limit` MiB, or if a reader got wrong bytes or none.
"""

import argparse
import json
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/chaos"))

from daemons import TIMEOUT, Daemon, free_ports, request, text, until  # noqa: E402

SITE, HOST = "demo", "demo.localhost"
MIB = 1 << 20
SETTINGS = {"memory_cache": "32MiB", "memory_in_flight": "16MiB"}


def post(origin, token, path):
    headers = {"Authorization": f"Bearer {token}"}
    status, _, answer = request(origin.listen, path, headers=headers, method="POST")
    if status >= 400:
        raise SystemExit(f"POST {path}: {status} {answer[:300]}")
    return answer


def open_range(edge, source, start=None):
    """A connection on which the file is asked for, from an offset, with the head of the response read."""
    client = socket.create_connection(edge.listen, TIMEOUT, (source, 0))
    range_field = "" if start is None else f"Range: bytes={start}-\r\n"
    client.sendall(f"GET /large.bin HTTP/1.1\r\nHost: {HOST}\r\n{range_field}Connection: close\r\n\r\n".encode())
    stream = client.makefile("rb")
    status = stream.readline().split()[1]
    while stream.readline().strip():
        pass
    if status not in (b"200", b"206"):
        raise SystemExit(f"the edge answers {status.decode()}")
    return stream


class Readers:
    """Slow readers, until `is_over` is set."""

    def __init__(self, edge, file, size, count):
        self.edge, self.file, self.size = edge, file, size
        self.is_over, self.wrong, self.taken = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.read, args=(number,), daemon=True) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def read(self, number):
        start = random.Random(number).randrange(self.size - 8 * MIB)
        try:
            with open_range(self.edge, f"127.0.{1 + number // 250}.{1 + number % 250}", start) as stream, open(self.file, "rb") as expected:
                expected.seek(start)
                while not self.is_over.wait(0.2):
                    piece = stream.read(4096)
                    if piece != expected.read(4096):
                        return self.wrong.append(f"reader {number}: wrong bytes")
                    self.taken += len(piece)
        except (OSError, SystemExit) as error:
            self.wrong.append(f"reader {number}: {error}")

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()


def read_all(edge, file):
    """Whether one reader gets the file as it is."""
    with open_range(edge, "127.0.0.1") as stream, open(file, "rb") as expected:
        while piece := stream.read(MIB):
            if piece != expected.read(len(piece)):
                return False
        return not expected.read(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--limit", type=int, default=128)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    arguments = parser.parse_args()
    arguments.binaries = arguments.binaries.resolve()
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    with tempfile.TemporaryDirectory(prefix="verge-memory-") as name:
        folder, daemons = Path(name), []
        build = folder / "build"
        build.mkdir()
        (build / "index.html").write_text("<h1>hello</h1>")
        with open(build / "large.bin", "wb") as file:
            for _ in range(arguments.mib):
                file.write(random.randbytes(MIB))
        try:
            origin = Daemon(arguments.binaries / "verge-origin", folder, "origin", free_ports(2), {"sites_url": "http://localhost"})
            daemons.append(origin)
            origin.start()
            origin.wait_until_up()
            token = (origin.data / "admin-token").read_text().strip()
            edge_token = json.loads(post(origin, token, "/v1/edges/edge-1/token"))["token"]
            settings = {"name": "edge-1", "origins": [f"http://{text(origin.listen)}"], "token": edge_token, "base_domain": "localhost", **SETTINGS}
            edge = Daemon(arguments.binaries / "verge-edge", folder, "edge-1", free_ports(2), settings)
            daemons.append(edge)
            edge.start()
            edge.wait_until_up()
            environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "VERGE_ORIGIN": f"http://{text(origin.listen)}", "VERGE_TOKEN": token}
            push = [arguments.binaries / "verge", "push", build, "--site", SITE]
            subprocess.run(push, env=environment, cwd=folder, check=True, capture_output=True, timeout=20 * TIMEOUT)
            sys.exit(serve(arguments, edge, build / "large.bin"))
        finally:
            for daemon in daemons:
                daemon.kill()


def serve(arguments, edge, file):
    """The exit code."""
    readers = Readers(edge, file, arguments.mib * MIB, arguments.readers)
    until("all slow readers get something", lambda: readers.wrong or readers.taken >= 4096 * arguments.readers)
    began = time.monotonic()
    is_right = read_all(edge, file)
    seconds = time.monotonic() - began
    time.sleep(max(arguments.seconds - seconds, 0))
    readers.end()
    peak = max_memory(edge)
    print(f"{arguments.mib} MiB read in {seconds:.1f} s beside {arguments.readers} slow readers, who took {readers.taken / MIB:.1f} MiB; "
          f"{len(readers.wrong)} of them failed; at most {peak:.0f} MiB of memory")
    for wrong in readers.wrong[:5]:
        print(f"    {wrong}")
    if not is_right:
        print("    the fast reader got wrong bytes")
    if peak > arguments.limit:
        print(f"    that is more than {arguments.limit} MiB")
    return int(bool(readers.wrong) or not is_right or peak > arguments.limit)


def max_memory(daemon):
    """The most that a process has occupied, in MiB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main()

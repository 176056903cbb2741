#!/usr/bin/env python3
"""Serves good readers while hostile clients do what they can, over HTTP and HTTPS.

    strangers.py [--seconds 60] [--binaries DIR] [ATTACK…]

Each attack runs for some seconds against one edge of `verge up --https --temp`, or its origin, from addresses of its own (127.0.0.2 and up), while
eight good readers, each from its own address, read a page, a missing page, a file of 222 KB and parts of files of which the edge has more than its
memory holds, over HTTP/1.1, with and without TLS, each on a connection of its own, and ask the origin with their token. Printed for each attack: how many requests the good readers made, the median and the 99th percentile of their times in ms beside those
of a quiet time, the most memory that the process had, and what the attack had to send. The exit code is 1 if a request of a good reader failed.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HOST = "site.localhost"
READERS = 8
# Seconds until a good reader gives up.
PATIENCE = 30
ASK_ORIGIN = "/v1/token"
LARGE_FILES = 4
LARGE = 64 << 20
BLOB = 1 << 18


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(window=None):
    return PREFACE + frame(4, 0, 0, b"" if window is None else struct.pack(">HI", 4, window))


def literal(name_index, value, is_indexed=True):
    """A header field of HPACK whose name is in the static table."""
    text = value.encode()
    length = bytes([len(text)]) if len(text) < 127 else b"\x7f" + varint(len(text) - 127)
    return bytes([(0x40 if is_indexed else 0) | name_index]) + length + text


def varint(number):
    out = b""
    while number >= 128:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def request(path, more=b""):
    """The header block of a GET over plain HTTP/2."""
    return bytes([0x82, 0x86]) + literal(4, path, False) + literal(1, HOST, False) + more


def range_from(start):
    text = f"bytes={start}-".encode()
    return b"\x0f\x23" + bytes([len(text)]) + text


class Fleet:
    """`verge up` with one edge, in a process of its own, and a site."""

    def __init__(self, binaries, folder):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VERGE_")}
        environment["HOME"] = str(folder / "home")
        (folder / "home").mkdir()
        command = [binaries / "verge", "up", "--temp", "--https", "--port", "0", "--json", "--edges", "1"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        started = json.loads(self.process.stdout.readline())
        port = lambda url: int(url.rsplit(":", 1)[1].rstrip("/"))
        self.plain = port(started["edges"][0]["url"])
        self.encrypted = port(started["edges"][0]["https_url"])
        self.origin, self.token = port(started["origin"]), started["token"]
        self.tls = ssl.create_default_context(cafile=started["ca"])
        environment |= {"VERGE_ORIGIN": started["origin"], "VERGE_TOKEN": started["token"]}
        self.build = build = folder / "build"
        build.mkdir()
        (build / "index.html").write_text("<h1>hello</h1>")
        (build / "404.html").write_text("<h1>no such page</h1>")
        (build / "app.bin").write_bytes(os.urandom(222_000))
        for number in range(LARGE_FILES):
            with open(build / f"large{number}.bin", "wb") as file:
                for _ in range(LARGE >> 20):
                    file.write(os.urandom(1 << 20))
        subprocess.run([binaries / "verge", "push", build, "--site", "site"], env=environment, check=True, capture_output=True)
        subprocess.run([binaries / "verge", "sites", "https", "site", "--optional"], env=environment, check=True, capture_output=True)
        self.app = (build / "app.bin").read_bytes()

    def part(self, blob, length):
        """The name and the offset of a blob of the large files, and its first bytes."""
        name, offset = f"large{blob * BLOB // LARGE}.bin", blob * BLOB % LARGE
        with open(self.build / name, "rb") as file:
            return name, offset, os.pread(file.fileno(), length, offset)

    def memory(self):
        return int(next(line for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(90)


def connect(port, source, window=None):
    client = socket.socket()
    if window:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.settimeout(PATIENCE)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    return client


class Readers:
    """Good readers: what they get is compared, and every request is timed."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.times, self.failures = [], []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.read, args=(number,)) for number in range(READERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def read(self, number):
        source = f"127.0.1.{number + 1}"
        turn = 0
        while not self.is_over.wait(0.02):
            turn += 1
            path, more, expected = self.choose(turn)
            begin = time.monotonic()
            try:
                with contextlib.closing(self.connect(source, path, is_encrypted=(number + turn) % 2 == 0)) as client:
                    client.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}Connection: close\r\n\r\n".encode())
                    answer = bytearray()
                    while received := client.recv(1 << 18):
                        answer += received
                if not answer.endswith(expected):
                    self.failures.append(f"{path}: {bytes(answer[:60])}")
            except OSError as error:
                self.failures.append(f"{path}: {error!r}")
            self.times.append(time.monotonic() - begin)

    def choose(self, turn):
        """A path, fields, and the end of the response."""
        document = "Sec-Fetch-Dest: document\r\n"
        if turn % 5 == 0:
            return "/", document, b"<h1>hello</h1>"
        if turn % 5 == 1:
            return f"/missing/{turn}", document, b"<h1>no such page</h1>"
        if turn % 5 == 2:
            return "/app.bin", "", self.fleet.app
        if turn % 5 == 3:
            return ASK_ORIGIN, f"Authorization: Bearer {self.fleet.token}\r\n", b"}"
        name, offset, part = self.fleet.part(random.randrange(LARGE_FILES * LARGE // BLOB), 1000)
        return f"/{name}", f"Range: bytes={offset}-{offset + len(part) - 1}\r\n", part

    def connect(self, source, path, is_encrypted):
        if path == ASK_ORIGIN:
            return connect(self.fleet.origin, source)
        client = connect(self.fleet.encrypted if is_encrypted else self.fleet.plain, source)
        return self.fleet.tls.wrap_socket(client, server_hostname=HOST) if is_encrypted else client


class Attack:
    """Counts what an attack sends. Connections that the edge closes are opened again."""

    def __init__(self, fleet, until):
        self.fleet, self.until = fleet, until
        self.sent = self.opened = 0

    def is_over(self):
        return time.monotonic() >= self.until

    def open(self, source, first, port=None, window=None):
        client = connect(port or self.fleet.plain, source, window)
        self.opened += 1
        self.send(client, first)
        return client

    def send(self, client, data):
        client.sendall(data)
        self.sent += len(data)

    def hold(self, count, sources, first, answer=None, port=None, window=None, pause=0.0, read=16384):
        """Keeps `count` connections open, and answers what arrives with what `answer` makes of it."""
        waiting, clients, number = select.epoll(), {}, 0
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500
        if files < count:
            print(f"    {files} connections in place of {count}: the limit of open files does not allow more")
            count = max(files, 1)
        while not self.is_over():
            missing = min(count - len(clients), 500)
            for _ in range(missing):
                number += 1
                with contextlib.suppress(OSError):
                    client = self.open(sources[number % len(sources)], first(number) if callable(first) else first, port, window)
                    client.setblocking(False)
                    clients[client.fileno()] = client
                    waiting.register(client.fileno(), select.EPOLLIN if answer else select.EPOLLRDHUP)
                if self.is_over():
                    break
            for descriptor, events in waiting.poll(0.1, 4000):
                client, data = clients[descriptor], b""
                if answer:
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        data = client.recv(read)
                if not data:
                    waiting.unregister(descriptor)
                    clients.pop(descriptor).close()
                    continue
                with contextlib.suppress(OSError):
                    self.send(client, answer(data))
            time.sleep(pause)
        for client in clients.values():
            client.close()


def answer_pings(data):
    answers, at = b"", 0
    while at + 9 <= len(data):
        if data[at + 3] == 6 and not data[at + 4] & 1:
            answers += frame(6, 1, 0, data[at + 9:at + 17])
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return answers


def addresses(count):
    return [f"127.0.{2 + number // 250}.{1 + number % 250}" for number in range(count)]


def long_paths(attack):
    """Paths of slashes, each request 13 bytes, as fast as they are answered."""
    first = bytes([0x82, 0x86]) + literal(4, "/" * 3990) + literal(1, HOST)
    again = bytes([0x82, 0x86, 0xBE, 0xBF])

    def flood():
        while not attack.is_over():
            with contextlib.suppress(OSError), contextlib.closing(attack.open("127.0.0.2", settings() + frame(8, 0, 0, struct.pack(">I", 2**30)) + frame(1, 5, 1, first))) as client:
                stream, live, buffer = 3, 1, b""
                while not attack.is_over():
                    requests = b"".join(frame(1, 5, stream + 2 * index, again) for index in range(100 - live))
                    stream, live = stream + 2 * (100 - live), 100
                    attack.send(client, requests)
                    received = client.recv(1 << 18)
                    if not received:
                        break
                    buffer += received
                    while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                        live -= buffer[3] in (0, 1) and buffer[4] & 1
                        buffer = buffer[9 + int.from_bytes(buffer[:3], "big"):]

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def places_of_one_address(attack):
    """10,000 connections of one address, whose pings are answered."""
    attack.hold(10_000, ["127.0.0.2"], settings(), answer_pings)


def places_of_many_addresses(attack):
    """12,000 connections of 100 addresses that say nothing."""
    attack.hold(12_000, addresses(100), b"")


def slow_headers(attack):
    """1,000 connections with a byte of a header each second."""
    head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX: ".encode()
    clients = []
    while not attack.is_over():
        while len(clients) < 1000:
            clients.append(attack.open(addresses(20)[len(clients) % 20], head))
        for client in list(clients):
            try:
                attack.send(client, b"a")
            except OSError:
                clients.remove(client)
        time.sleep(1)
    for client in clients:
        client.close()


def unread_downloads(attack):
    """500 downloads of which nothing is read."""
    first = lambda number: f"GET /large{number % LARGE_FILES}.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    attack.hold(500, addresses(20), first, window=4096)


def streams(window):
    """128 requests on a connection, each for another blob, none of which the `window` of its stream lets through."""

    def first(number):
        opening = settings(window)
        for stream in range(128):
            name, offset = f"large{blob_of(number, stream) * BLOB // LARGE}.bin", blob_of(number, stream) * BLOB % LARGE
            opening += frame(1, 5, 2 * stream + 1, request(f"/{name}", range_from(offset)))
        return opening

    blob_of = lambda number, stream: (number * 128 + stream) % (LARGE_FILES * LARGE // BLOB)
    return first


def stalled_streams(attack):
    """16 connections with 128 streams each that are never taken, of another blob each."""
    attack.hold(16, addresses(4), streams(0), answer_pings)


def stalled_streams_with_pings(attack):
    """The same, of which a byte each is taken, while pings keep the connections busy: some 500 bytes a second."""
    ping = frame(6, 0, 0, b"12345678")
    attack.hold(16, addresses(4), streams(1), lambda data: answer_pings(data) + ping, pause=0.03)


def part_of_each_stream(attack):
    """Each of 256 connections of one address takes one response bit by bit, and leaves three."""
    request_of = lambda number, file: f"GET /large{file}.bin HTTP/1.1\r\nHost: {HOST}\r\nRange: bytes={number % 256 * BLOB}-\r\n\r\n".encode()
    first = lambda number: b"".join(request_of(number, file) for file in range(LARGE_FILES))
    attack.hold(256, ["127.0.0.2"], first, lambda _: b"", window=4096, pause=0.5, read=160)


def handshakes(attack):
    """Full handshakes of one address, one after another on four lines."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def flood():
        while not attack.is_over():
            with contextlib.suppress(OSError), contextlib.closing(attack.open("127.0.0.2", b"", attack.fleet.encrypted)) as client:
                context.wrap_socket(client, server_hostname=HOST).close()

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cut_handshakes(attack):
    """2,000 TLS connections that stop after the first bytes."""
    attack.hold(2000, addresses(20), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", port=attack.fleet.encrypted)


def origin_places(attack):
    """12,000 connections of 100 addresses to the origin: heads without an end, and bodies of which a byte comes now and then."""
    heads = [b"GET / HTTP/1.1\r\nX: ", b"POST /v1/join HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{"]
    attack.hold(12_000, addresses(100), lambda number: heads[number % 2], port=attack.fleet.origin)


def guessed_tokens(attack):
    """Tokens that do not exist, as fast as they are refused."""

    def guess(number):
        while not attack.is_over():
            with contextlib.suppress(OSError), contextlib.closing(attack.open(f"127.0.0.{number}", b"", attack.fleet.origin)) as client:
                while not attack.is_over():
                    token = random.randbytes(32).hex()
                    attack.send(client, f"GET {ASK_ORIGIN} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                    if not client.recv(1 << 16):
                        break

    threads = [threading.Thread(target=guess, args=(2 + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ATTACKS = [
    long_paths,
    places_of_one_address,
    places_of_many_addresses,
    slow_headers,
    unread_downloads,
    stalled_streams,
    stalled_streams_with_pings,
    part_of_each_stream,
    cut_handshakes,
    handshakes,
    origin_places,
    guessed_tokens,
]


def milliseconds(times):
    ordered = sorted(times)
    return tuple(1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99)) if ordered else (0.0, 0.0)


def run(fleet, name, attack, seconds):
    """Whether no good reader failed."""
    peak, before = fleet.memory(), fleet.cpu()
    attacking = Attack(fleet, time.monotonic() + seconds)
    thread = threading.Thread(target=attack or (lambda _: time.sleep(seconds)), args=(attacking,))
    with Readers(fleet) as readers:
        thread.start()
        while thread.is_alive():
            thread.join(0.2)
            peak = max(peak, fleet.memory())
    median, slow = milliseconds(readers.times)
    print(f"{name:28} {len(readers.times):6} requests, median {median:6.1f} ms, p99 {slow:7.1f} ms, {len(readers.failures)} failed; "
          f"{peak:4.0f} MiB, {fleet.cpu() - before:5.1f} s of CPU; {attacking.opened} connections, {attacking.sent} bytes sent", flush=True)
    for failure in readers.failures[:5]:
        print(f"    {failure}")
    return not readers.failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(attack.__name__ for attack in ATTACKS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    chosen = [attack for attack in ATTACKS if not arguments.attacks or attack.__name__ in arguments.attacks]
    with tempfile.TemporaryDirectory(prefix="verge-strangers-") as folder:
        fleet = Fleet(arguments.binaries.resolve(), Path(folder))
        try:
            results = [run(fleet, "quiet", None, min(arguments.seconds, 10))]
            results += [run(fleet, attack.__name__, attack, arguments.seconds) for attack in chosen]
            results.append(run(fleet, "quiet again", None, min(arguments.seconds, 10)))
        finally:
            fleet.stop()
    sys.exit(not all(results))


if __name__ == "__main__":
    main()

"""A host elsewhere that serves a domain, and readers who go where DNS sends them, while the domain moves."""

import collections
import http.client
import random
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fleet import NAME_SERVER

HOST = "shop.example.test"
ADDRESS = "127.0.0.21"
PAGE = "the shop at its old host"
READERS = 4
# Between two requests of a reader, in seconds: other checks run at the same time.
PAUSE = 0.02


class OldHost:
    """Serves `HOST` at `ADDRESS`, with a certificate of another authority: its root certificate is in the file `root`."""

    def __init__(self, folder):
        self.root, root_key, certificate, key = (folder / f"old-{name}.pem" for name in ["root", "root-key", "certificate", "key"])
        create(self.root, root_key, "old authority")
        signed = ["-CA", self.root, "-CAkey", root_key, "-extensions", "usr_cert", "-addext", f"subjectAltName=DNS:{HOST}"]
        create(certificate, key, HOST, *signed)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = ThreadingHTTPServer((ADDRESS, 443), Answer)
        # The handshake is left to the thread of the connection.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_):
        pass


def create(certificate, key, name, *options):
    """Creates a certificate, signed by itself unless `options` say otherwise."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run(["openssl", "req", "-x509", *kind, *options, "-keyout", key, "-out", certificate], check=True, capture_output=True)


def resolve():
    """The addresses of `HOST`, and for how many seconds they may be kept."""
    command = ["dig", f"@{NAME_SERVER}", "+tries=1", "+time=5", "+noall", "+answer", HOST, "A"]
    records = [line.split() for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]
    return [data for *_, kind, data in records if kind == "A"], min((int(ttl) for _, ttl, *_ in records), default=0)


class Readers:
    """Threads that load the page of `HOST` again and again, over a new connection each time. They trust `roots`.

    The first asks DNS before each request, the others keep its answer for a part of its TTL, the last one for all of it."""

    def __init__(self, roots, pages):
        """`pages`: what each address has to answer."""
        self.context, self.pages, self.is_over = ssl.create_default_context(cafile=roots[0]), pages, threading.Event()
        self.context.load_verify_locations(roots[1])
        # Address to the number of its answers; failures to their number; and who answered each reader last.
        self.answers, self.failures, self.last = collections.Counter(), collections.Counter(), [None] * READERS
        self.threads = [threading.Thread(target=self.read, args=[number], daemon=True) for number in range(READERS)]
        for thread in self.threads:
            thread.start()

    def read(self, number):
        addresses, expiry = [], 0
        while not self.is_over.is_set():
            address = None
            try:
                if time.monotonic() >= expiry:
                    addresses, ttl = resolve()
                    expiry = time.monotonic() + ttl * number / (READERS - 1)
                address = random.choice(addresses)
                answer = self.load(address)
            except Exception as error:
                answer = repr(error)
            if answer == (200, self.pages.get(address)):
                self.answers[address] += 1
                self.last[number] = address
            else:
                self.failures[f"{address}: {answer}"] += 1
            time.sleep(PAUSE)

    def load(self, address):
        connection = http.client.HTTPConnection(HOST)
        connection.sock = self.context.wrap_socket(socket.create_connection((address, 443), 10), server_hostname=HOST)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def close(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

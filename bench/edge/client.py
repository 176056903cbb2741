"""HTTP/1.1 on one connection, for checks and for reads in turn."""

import socket
from dataclasses import dataclass

from site_files import HOST


@dataclass
class Response:
    """`size` counts the head too."""

    status: int
    headers: dict
    body: bytes
    size: int


class Connection:
    """Stays open between requests."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path, headers=()):
        lines = "".join(f"{name}: {value}\r\n" for name, value in dict(headers).items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode())
        received = self.socket.recv(1 << 18)
        while b"\r\n\r\n" not in received:
            received += self.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        answered = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if answered.get("transfer-encoding") == "chunked":
            return self.chunked(status, answered, len(head) + 4, body)
        if status != 304 and "content-length" not in answered:
            raise ConnectionError(f"a response without a length: {head.decode('latin-1')}")
        length = 0 if status == 304 else int(answered["content-length"])
        parts = [body]
        missing = length - len(body)
        while missing > 0:
            parts.append(self.receive())
            missing -= len(parts[-1])
        return Response(status, answered, b"".join(parts), len(head) + 4 + length)

    def chunked(self, status, headers, size, received):
        body, size = b"", size + len(received)
        while True:
            while b"\r\n" not in received:
                part = self.receive()
                received, size = received + part, size + len(part)
            length, _, received = received.partition(b"\r\n")
            length = int(length, 16)
            while len(received) < length + 2:
                part = self.receive()
                received, size = received + part, size + len(part)
            body, received = body + received[:length], received[length + 2 :]
            if not length:
                return Response(status, headers, body, size)

    def receive(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part

    def close(self):
        self.socket.close()

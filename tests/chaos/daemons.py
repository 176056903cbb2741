"""Daemons as processes, and requests to them."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

# How long anything may take, in seconds.
TIMEOUT = 90


class Daemon:
    """A process with a configuration file, a log, and a data directory in `folder`/NAME. It runs on `host` (see hosts.py); without one,
    on this one, at the loopback address."""

    def __init__(self, binary, folder, name, ports, settings, host=None, environment=None):
        (folder / name).mkdir(exist_ok=True)
        address = host.address if host else "127.0.0.1"
        self.name, self.data = name, folder / name / "data"
        self.listen, self.private = [(address, port) for port in ports]
        self.command, self.log = [*(host.enter if host else []), binary, "--config", folder / f"{name}.toml"], folder / f"{name}.log"
        settings = {"data": str(self.data), "listen": text(self.listen), "private_listen": text(self.private), **settings}
        (folder / f"{name}.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        self.environment = {**os.environ, **(environment or {})}
        self.process, self.starts, self.kills, self.is_up, self.up_since = None, 0, 0, False, 0.0

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True, env=self.environment)
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
        self.kills += 1
        if self.process:
            self.process.kill()
            self.process.wait()

    def terminate(self):
        """Shuts it down as an operator does. Returns the exit code."""
        self.process.terminate()
        return self.process.wait(TIMEOUT)

    def cpu_seconds(self):
        """The CPU time that it has used, of all its threads."""
        # The clock that clock_getcpuclockid(3) names.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory_bytes(self):
        """The memory that it occupies, without files that are mapped."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) << 10

    def disk_bytes(self):
        """The size of the files in its data directory."""
        size = 0
        for file in self.data.rglob("*"):
            # Temporary files come and go.
            with contextlib.suppress(FileNotFoundError):
                size += file.stat().st_size
        return size

    def open_files(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def text(address):
    """HOST:PORT."""
    return "{}:{}".format(*address)


def until(what, condition, seconds=TIMEOUT):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"expected within {seconds} s that {what}")
        time.sleep(0.01)


def request(address, path, host="localhost", headers=None, method="GET", body=None):
    """Sends a request to `address`, a pair of host and port. Returns status, headers and body of the response."""
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, {"Host": host, **(headers or {})})
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

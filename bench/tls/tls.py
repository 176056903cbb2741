"""Compares an edge with nginx, h2o and Caddy over TLS: CPU time for each handshake and request, on one core, and memory of idle connections.

    tls.py [--rounds N] [--servers LIST] [--binaries DIR]

All servers have the same certificate (ECDSA P-256) and the same two files, and run on core 0; clients run on core 1. In each round, each
workload is given to one server after another. Printed are medians of the rounds, and the lowest and the highest. The workloads: see
bench/README.md.
"""

import argparse
import os
import random
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BENCH), str(BENCH / "rollout")]

from fleet import ROOT, SITE, Fleet  # noqa: E402
from server import CLIENT_CORE, Server, free_port, report, require, spawn  # noqa: E402

HOST = f"{SITE}.localhost"
FILES = {"small": 512, "large": 222 * 1024}
IDLE = 10_000
# An edge puts an idle connection aside after half of it at the latest.
HEADER_TIMEOUT_S = 90


def nginx(folder, site):
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;
events {{ worker_connections 20000; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600;
    open_file_cache max=100; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5; http2_max_requests 100000000;
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=16384; server_name {HOST}; root {site};
        ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    }}
}}""")
    return Server("nginx", port, spawn(["nginx", "-c", config], folder / "nginx.out"))


def h2o(folder, site):
    port, config = free_port(), folder / "h2o.yaml"
    config.write_text(f"""
num-threads: 1
max-connections: 20000
http1-request-timeout: 600
http2-idle-timeout: 600
listen: {{host: 127.0.0.1, port: {port}, ssl: {{certificate-file: {folder}/chain.pem, key-file: {folder}/key.pem, minimum-version: TLSv1.2}}}}
hosts: {{"{HOST}:{port}": {{paths: {{"/": {{file.dir: {site}}}}}}}}}
""")
    return Server("h2o", port, spawn(["h2o", "-c", config], folder / "h2o.out"))


def caddy(folder, site):
    port, config = free_port(), folder / "Caddyfile"
    config.write_text(f"""
{{
    admin off
    auto_https off
    storage file_system {folder}/caddy
}}
https://{HOST}:{port} {{
    bind 127.0.0.1
    tls {folder}/chain.pem {folder}/key.pem
    root * {site}
    file_server
}}
""")
    environment = {"GOMAXPROCS": "1", "HOME": str(folder)}
    return Server("caddy", port, spawn(["caddy", "run", "--config", config, "--adapter", "caddyfile"], folder / "caddy.out", environment))


def verge(folder, site, binaries):
    """The edge, and the fleet that it belongs to."""
    fleet = Fleet(folder, binaries)
    port, data = free_port(), folder / "edge"
    config = folder / "edge.toml"
    config.write_text(f"""
name = "edge"
origins = ["{fleet.url}"]
token = "{fleet.issue_token('edge')}"
base_domain = "localhost"
data = "{data}"
listen = "127.0.0.1:{free_port()}"
tls_listen = "127.0.0.1:{port}"
private_listen = "127.0.0.1:{free_port()}"
certificates = [{{ chain = "{folder}/chain.pem", key = "{folder}/key.pem" }}]
[limits]
connections = 20000
trusted_proxies = ["127.0.0.1"]
requests_per_connection = 100000000
header_timeout_seconds = {HEADER_TIMEOUT_S}
""")
    edge = Server("verge", port, spawn([binaries / "verge-edge", "--config", config], folder / "edge.out"))
    fleet.wait_until_live(1)
    fleet.push(site, "--force")
    return edge, fleet


def floor(folder, site, binaries):
    """The HTTP and TLS stack of the edge with a minimal service: daemon/examples/http_floor.rs."""
    port = free_port()
    command = [binaries / "examples/http_floor", port, site, folder / "chain.pem", folder / "key.pem"]
    return Server("floor", port, spawn(command, folder / "floor.out"))


def context(version=None, alpn=("http/1.1",)):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def connect(server, settings, session=None):
    """A connection on which a response was read: the tickets of TLS 1.3 come before it."""
    plain = socket.create_connection(("127.0.0.1", server.port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = settings.wrap_socket(plain, server_hostname=HOST, session=session)
    connection.sendall(f"GET /small.bin HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < FILES["small"]:
        part = connection.recv(65536)
        if not part:
            raise RuntimeError(f"{server.name} closed the connection after {answer[:200]}")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{server.name} answered {answer[:200]}")
    return connection


def handshakes(version, resumed):
    def run(server, count=1500):
        settings = context(version)
        session = connect(server, settings).session if resumed else None
        for _ in range(count):
            connection = connect(server, settings, session)
            if connection.session_reused != resumed:
                raise RuntimeError(f"{server.name}: resumed is {connection.session_reused}, expected {resumed}")
            connection.close()
        return count

    return run


def requests(path, options, count):
    def run(server):
        url = f"https://{HOST}:{server.port}/{path}.bin"
        command = ["taskset", "-c", str(CLIENT_CORE), "h2load", *options, f"-n{count}", "-c20", "-t1", f"--connect-to=127.0.0.1:{server.port}", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if f"{count} 2xx" not in done.stdout:
            raise RuntimeError(f"{server.name}: {done.stdout[-900:]} {done.stderr[-300:]}")
        return count

    return run


WORKLOADS = {
    "full handshake, TLS 1.3": handshakes(ssl.TLSVersion.TLSv1_3, False),
    "resumed, TLS 1.3": handshakes(ssl.TLSVersion.TLSv1_3, True),
    "full handshake, TLS 1.2": handshakes(ssl.TLSVersion.TLSv1_2, False),
    "resumed, TLS 1.2": handshakes(ssl.TLSVersion.TLSv1_2, True),
    "0.5 KB, HTTP/1.1": requests("small", ["--h1", "-m1"], 60_000),
    "0.5 KB, HTTP/2": requests("small", ["-m10"], 60_000),
    "222 KB, HTTP/1.1": requests("large", ["--h1", "-m1"], 4_000),
    "222 KB, HTTP/2": requests("large", ["-m10"], 4_000),
}


def idle(server):
    """Bytes for each idle connection."""
    settings = context()
    connect(server, settings).close()
    before = server.memory()
    connections = [connect(server, settings) for _ in range(IDLE)]
    time.sleep(HEADER_TIMEOUT_S / 2 + 2)
    used = server.memory() - before
    for connection in connections:
        connection.close()
    return used


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", default="verge nginx h2o caddy floor", help="separated by spaces")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    arguments = parser.parse_args()
    peers = [name for name in arguments.servers.split() if name not in ["verge", "floor"]]
    require([*peers, "h2load", "openssl", "taskset"], "nginx, h2o, caddy, nghttp2-client")
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    folder, fleet, servers = Path(tempfile.mkdtemp(prefix="verge-tls-")), None, []
    site = folder / "site"
    site.mkdir(mode=0o755)
    folder.chmod(0o755)
    for name, size in FILES.items():
        (site / f"{name}.bin").write_bytes(random.Random(name).randbytes(size))
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem"]
    subprocess.run(["openssl", "req", "-x509", *key, "-out", folder / "chain.pem", "-days", "30", *subject], check=True, capture_output=True)
    try:
        for name in arguments.servers.split():
            if name == "verge":
                edge, fleet = verge(folder, site, arguments.binaries.resolve())
                servers.append(edge)
            elif name == "floor":
                servers.append(floor(folder, site, arguments.binaries.resolve()))
            else:
                servers.append({"nginx": nginx, "h2o": h2o, "caddy": caddy}[name](folder, site))
        os.sched_setaffinity(0, {CLIENT_CORE})
        for server in servers:
            wait_for(server)
        results = {}
        for _ in range(arguments.rounds):
            for workload, run in WORKLOADS.items():
                for server in servers:
                    before = server.cpu_seconds()
                    count = run(server)
                    micros = (server.cpu_seconds() - before) / count * 1e6
                    results.setdefault((workload, server.name), []).append(micros)
        report("µs of CPU", results, WORKLOADS, servers)
        print(f"\nidle connections over TLS, {IDLE:,} each:\n\n| server | MiB | KiB for each |\n| --- | ---: | ---: |")
        for server in servers:
            used = idle(server)
            print(f"| {server.name} | {used / 2**20:.0f} | {used / IDLE / 1024:.1f} |", flush=True)
    finally:
        for server in servers:
            server.close()
        if fleet:
            fleet.close()
        shutil.rmtree(folder)


def wait_for(server):
    deadline = time.monotonic() + 30
    while True:
        try:
            return connect(server, context()).close()
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()

"""How soon after its start an edge presents any of its saved certificates without an origin, and its memory.

    certificates.py [--count N] [--rounds N] [--binaries DIR]

The certificates (ECDSA P-256, each with its own key, two names, and the same second certificate in its chain) are made with openssl, which
takes a minute or two, and written as an edge saves them, with the rows of the feed: of each certificate, its domain, and the one that
redirects to it. Printed for each round: the time from the start of the process to the first complete
handshake for a name chosen at random, tried every five milliseconds; the resident memory after 500 more; and CPU time.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What comes before the point in the SubjectPublicKeyInfo of a P-256 key, in DER.
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
POINT_BYTES = 65
DAY = 24 * 60 * 60 * 1000
ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
TOKEN = "vrg_00000000000000000000000000000000000000009692e67b"


def free_ports(count):
    """Different ones: all are bound before any is released."""
    with contextlib.ExitStack() as bound:
        listeners = [bound.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def record(value):
    """A line of a saved state, with its checksum."""
    return b'["%s",%s]\n' % (hashlib.sha256(value).hexdigest()[:16].encode(), value)


def make(folder, number, second):
    domain = f"d{number}.example"
    key, chain = folder / f"{number}.key", folder / f"{number}.pem"
    names = ["-subj", f"/CN={domain}", "-addext", f"subjectAltName=DNS:{domain},DNS:www.{domain}"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *curve, "-keyout", key, "-out", chain, "-days", "90", *names], check=True, capture_output=True)
    encoded = "".join(line for line in key.read_text().splitlines() if not line.startswith("-"))
    text = chain.read_text()
    saved = {"domain": domain, "chain": text + second, "key": encoded}
    (folder / "data/certificates" / f"{domain}.json").write_bytes(record(json.dumps(saved, separators=(",", ":")).encode()) + record(b"1"))
    key.unlink()
    chain.unlink()
    der = ssl.PEM_cert_to_DER_cert(text)
    start = der.index(P256)
    now = int(time.time() * 1000)
    certificate = {
        "names": [domain, f"www.{domain}"],
        "chain": text + second,
        "key": hashlib.sha256(der[start : start + len(P256) + POINT_BYTES]).hexdigest(),
        "not_before": now,
        "not_after": now + 90 * DAY,
        "confirmed": True,
    }
    site = f"s{number}"
    return [
        (f"certificate/{domain}", certificate),
        (f"domain/{domain}", {"site": site}),
        (f"domain/www.{domain}", {"site": site, "redirect_to": domain}),
    ]


def write_state(folder, rows):
    """What an edge saves that has received these rows, and nothing else."""
    records = [{"feed": {"checkpoint": f"1-{len(rows)}-00c0ffee00c0ffee"}}]
    for seq, (key, value) in enumerate(rows, 1):
        records.append({"feed": {"row": {"generation": 1, "row": {"key": key, "seq": seq, "value": value}}}})
    lines = [record(json.dumps(one, separators=(",", ":")).encode()) for one in records]
    (folder / "data/state.json").write_bytes(b"".join([*lines, record(str(len(lines)).encode())]))


def measure(binary, folder, count):
    port, plain_port, private_port, origin_port = free_ports(4)
    (folder / "edge.toml").write_text(f"""
name = "edge"
origins = ["http://127.0.0.1:{origin_port}"]
token = "{TOKEN}"
data = "{folder}/data"
listen = "127.0.0.1:{plain_port}"
tls_listen = "127.0.0.1:{port}"
private_listen = "127.0.0.1:{private_port}"
base_domain = "localhost"
""")
    settings = ssl.create_default_context()
    settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE

    def shake_hands():
        name = f"d{random.randrange(count)}.example"
        with socket.create_connection(("127.0.0.1", port)) as plain, settings.wrap_socket(plain, server_hostname=name) as connection:
            if name.encode() not in connection.getpeercert(True):
                raise SystemExit(f"another certificate than that of {name}")

    begin = time.monotonic()
    with (folder / "edge.log").open("w") as log:
        edge = subprocess.Popen([binary, "--config", folder / "edge.toml"], stdout=log, stderr=log)
    while True:
        try:
            shake_hands()
            break
        except OSError:
            if edge.poll() is not None or time.monotonic() - begin > 60:
                sys.stderr.write((folder / "edge.log").read_text())
                raise
            time.sleep(0.005)
    first = time.monotonic() - begin
    for _ in range(500):
        shake_hands()
    memory = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{edge.pid}/status").read_text())[1])
    cpu = sum(map(int, Path(f"/proc/{edge.pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / TICK
    edge.send_signal(signal.SIGTERM)
    edge.wait(20)
    print(f"first handshake after {first:.2f} s, {memory / 1024:.0f} MiB after 501, {cpu:.2f} s of CPU", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verge-certificates-") as folder:
        folder = Path(folder)
        (folder / "data/certificates").mkdir(parents=True)
        make(folder, 0, "")
        saved = (folder / "data/certificates/d0.example.json").read_bytes()
        second = json.loads(saved.splitlines()[0])[1]["chain"]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            made = pool.map(lambda number: make(folder, number, second), range(arguments.count))
            write_state(folder, [row for rows in made for row in rows])
        for _ in range(arguments.rounds):
            measure(arguments.binaries.resolve() / "verge-edge", folder, arguments.count)


if __name__ == "__main__":
    main()

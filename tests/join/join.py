#!/usr/bin/env python3
"""Has three machines join a fleet by the commands that `verge` prints, and nothing else: two edges and a name server.

    join.py [--binaries DIR]     executables in target/release by default

Origin, laptop, edges and name server are hosts in network namespaces (see ../chaos/hosts.py), each with an /etc and a /var/lib of its own.
The origin presents its identity key, and all others verify it by its pin. Then the faulty codes: truncated, used, replaced, expired, for another
daemon, and one whose origin has another key. Needs root. The last line counts the checks.
"""

import argparse
import os
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/chaos"))

import hosts
from daemons import request, until

DOMAIN = "sites.verge.test"
# Binds the directories of a machine in place of those of this one, and runs a command.
ENTER = 'mount --bind "$1/etc" /etc && mount --bind "$1/lib" /var/lib && export HOME=/var/lib && exec sh -c "$2"'


class Machine:
    """A host with directories of its own."""

    def __init__(self, router, folder, name, binaries):
        self.name, self.host, self.folder = name, router.add_host(name), folder / name
        self.address, self.daemon = self.host.address, None
        shutil.copytree("/etc", self.folder / "etc", symlinks=True, ignore=shutil.ignore_patterns("verge"))
        (self.folder / "etc/verge").mkdir()
        (self.folder / "lib").mkdir()
        self.environment = {"PATH": f"{binaries}:{os.environ['PATH']}"}

    def line(self, command):
        return [*self.host.enter, "unshare", "--mount", "sh", "-c", ENTER, "sh", self.folder, command]

    def run(self, command, code=0, stdin=""):
        """Runs a command line as somebody who is logged in there. Returns what it printed."""
        done = subprocess.run(self.line(command), input=stdin, capture_output=True, text=True, env=self.environment)
        expect(done.returncode == code, f"{self.name}: {command}\n{done.stdout}{done.stderr}exit code {done.returncode}, expected {code}")
        return done.stdout if code == 0 else done.stderr

    def start(self, program):
        with open(self.folder / "log", "ab") as log:
            line = self.line(f"exec {program}")
            self.daemon = subprocess.Popen(line, stdout=log, stderr=log, env=self.environment)

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait()

    def file(self, path):
        return self.folder / path.replace("/etc/", "etc/", 1).replace("/var/lib/", "lib/", 1).lstrip("/")


checks = 0


def expect(condition, text):
    global checks
    if not condition:
        raise SystemExit(f"FAIL  {text}")
    checks += 1


def start_origin(origin):
    origin.start("verge-origin")
    until("the origin answers", lambda: answers((origin.address, 7500)))


def answers(address):
    try:
        return request(address, "/healthz")
    except OSError:
        return None


def page(edge):
    try:
        status, _, body = request((edge.address, 80), "/", f"demo.{DOMAIN}")
        return body if status == 200 else None
    except OSError:
        return None


def resolve(name_server, name):
    """The addresses that a name server answers."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.sendto(struct.pack("!6H", 7, 0, 1, 0, 0, 0) + question, (name_server.address, 53))
        try:
            answer = client.recv(1500)
        except OSError:
            return set()
    count, rest = struct.unpack("!H", answer[6:8])[0], answer[12 + len(question) :]
    # Each record is a pointer, type, class, TTL, length and address.
    return {socket.inet_ntoa(rest[at * 16 + 12 : at * 16 + 16]) for at in range(count)}


def play(folder, binaries):
    router = hosts.Router()
    origin, laptop, fra, nyc, name_server, spare = (
        Machine(router, folder, name, binaries) for name in ["origin", "laptop", "fra-1", "nyc-1", "ns-1", "spare"]
    )
    machines = [origin, fra, nyc, name_server]
    try:
        join(origin, laptop, fra, nyc, name_server)
        refuse(origin, laptop, fra, nyc, spare)
    except BaseException:
        for machine in machines:
            if machine.daemon:
                print(f"--- log of {machine.name}\n{(machine.folder / 'log').read_text()[-3000:]}", file=sys.stderr)
        raise
    finally:
        for machine in machines:
            if machine.daemon:
                # An edge that is terminated serves for its lame-duck period first.
                machine.daemon.kill()
                machine.daemon.wait()


def join(origin, laptop, fra, nyc, name_server):
    settings = f"""
        data = "/var/lib/verge-origin"
        sites_url = "http://{DOMAIN}"
        tls_listen = "{origin.address}:7443"
        private_listen = "{origin.address}:7500"
    """
    origin.file("/etc/verge/verge-origin.toml").write_text(settings)
    start_origin(origin)
    url, pin = f"https://{origin.address}:7443", origin.run("verge-origin pin").strip()
    token = origin.file("/var/lib/verge-origin/admin-token").read_text()
    expect(pin in laptop.run(f"verge login {url}", code=3, stdin=token), "the pin is shown before it is trusted")
    laptop.run(f"verge login {url} --pin {pin}", stdin=token)

    commands = {
        fra: laptop.run(f"verge edges add fra-1 --at Frankfurt --address {fra.address}"),
        nyc: laptop.run(f"verge edges add nyc-1 --at 'New York' --address {nyc.address}"),
        name_server: laptop.run(f"verge dns add ns-1 --address {name_server.address}"),
    }
    for machine, command in commands.items():
        expect(command.count("\n") == 1, f"one line is printed: {command}")
        machine.command = command.strip()
        print(f"{machine.name}: {machine.command}\n{machine.run(machine.command)}")
    for machine, program in [(fra, "verge-edge"), (nyc, "verge-edge"), (name_server, "verge-geodns")]:
        machine.run(f"{program} check-config --online")
        for path in [f"/etc/verge/{program}.toml", "/etc/verge/ns.token" if machine is name_server else "/etc/verge/edge.token"]:
            expect(machine.file(path).stat().st_mode & 0o777 == 0o600, f"{path} is readable by its owner only")
        machine.start(program)
    expect(fra.file("/var/lib/verge-edge/edge.key").stat().st_mode & 0o777 == 0o600, "the key is readable by its owner only")
    site = laptop.file("/var/lib/site")
    site.mkdir()
    (site / "index.html").write_text("<p>hello</p>")
    edges_live = lambda: laptop.run("verge edges").count(" live ") == 2
    until("both edges report", edges_live)
    laptop.run("verge push /var/lib/site --site demo")
    for edge in [fra, nyc]:
        until(f"{edge.name} serves the site", lambda: page(edge) == b"<p>hello</p>")
    until("the name server answers both edges", lambda: resolve(name_server, f"demo.{DOMAIN}") == {fra.address, nyc.address})

    before = {path: path.read_bytes() for path in (fra.folder / "etc/verge").iterdir()}
    expect("has joined already" in fra.run(fra.command), "a machine that has joined is left as it is")
    expect(before == {path: path.read_bytes() for path in (fra.folder / "etc/verge").iterdir()}, "no file was changed")


def rejoin(laptop, edge):
    """Removes an edge, and has it join again where it was."""
    laptop.run(f"verge edges remove {edge.name} --yes")
    until("the removed edge is cut off", lambda: "answered 401" in (edge.folder / "log").read_text())
    settings = edge.file("/etc/verge/verge-edge.toml").read_bytes()
    command = laptop.run(f"verge edges add {edge.name} --at 'New York' --address {edge.address}").strip()
    print(edge.run(command))
    expect(edge.file("/etc/verge/verge-edge.toml").read_bytes() == settings, "its settings are not changed")
    edge.daemon.kill()
    edge.daemon.wait()
    edge.start("verge-edge")
    until("it reports again", lambda: laptop.run("verge edges").count(" live ") == 2)


def refuse(origin, laptop, fra, nyc, spare):
    def refused(command, reason):
        text = spare.run(command, code=2)
        print(text.strip())
        expect(re.search(reason, text), f"expected `{reason}`: {text}")
        expect(not list((spare.folder / "etc/verge").iterdir()), "nothing was written")

    refused(fra.command[:-7], "incomplete join code: .*copy the whole command again")
    refused(fra.command, "the join code of edge fra-1 was used at .*verge edges join-code fra-1")
    refused(fra.command.replace("verge-edge", "verge-geodns"), "the join code is for edge fra-1: run it with `verge-edge join`")
    replaced, command = (laptop.run("verge edges join-code nyc-1").strip() for _ in range(2))
    refused(replaced, "unknown join code: it was replaced by a newer one")
    # As if two hours had passed.
    with sqlite3.connect(origin.file("/var/lib/verge-origin/origin.db"), timeout=60) as database:
        database.execute("update join_code set expires = expires - 7200000")
    refused(command, "the join code of edge nyc-1 expired at .*verge edges join-code nyc-1")
    other = nyc.run(laptop.run("verge edges join-code fra-1").strip(), code=2)
    expect("is the configuration of edge nyc-1, the code is for edge fra-1" in other, other)
    rejoin(laptop, nyc)

    command = laptop.run("verge edges join-code nyc-1").strip()
    pin = origin.run("verge-origin pin").strip()
    origin.stop()
    origin.file("/var/lib/verge-origin/identity.key").unlink()
    start_origin(origin)
    other = origin.run("verge-origin pin").strip()
    expect(pin != other, "the origin has made another key")
    refused(command, f"the origin has another key: expected the pin {pin}, found {other}; either it was replaced, or")
    expect(page(fra) == b"<p>hello</p>" and page(nyc) == b"<p>hello</p>", "edges serve what they have")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release", help="the folder of the executables")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root, for network namespaces")
    hosts.isolate()
    folder = Path(tempfile.mkdtemp(prefix="verge-join-"))
    try:
        play(folder, arguments.binaries.resolve())
    finally:
        shutil.rmtree(folder)
    print(f"{checks} checks")


if __name__ == "__main__":
    main()

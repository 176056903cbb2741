#!/usr/bin/env python3
"""Has nginx and Caddy, with the samples in edge/proxies as they are, pass readers and health checks to an edge.

    proxies.py [--binaries DIR] [--nginx FILE] [--caddy FILE]     executables in target/release by default

Origin, edge, name server and proxy run in namespaces of their own for network, mounts and processes: the machine has the addresses and the
files that the samples name, and its resolver is the name server of the fleet. Every response through the proxy is compared with that of the
edge. Needs root, openssl, and curl with HTTP/2. The last line counts the checks.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "edge/proxies"
sys.path.insert(0, str(ROOT / "tests/chaos"))

import hosts
from authority import Authority
from daemons import request, until

BASE, DOMAIN = "sites.example.com", "www.example.com"
SITE = f"demo.{BASE}"
# Of the edge, as in the samples.
ADDRESSES = {"203.0.113.7", "2001:db8::7"}
EDGE = "http://127.0.0.1:8080"
# Directories in place of those of this machine.
OWN = ["/etc", "/var/lib", "/var/log", "/var/www", "/run"]
# Headers of a connection, of the program that answers, and one that says whether the edge had the file in memory.
NOT_COMPARED = {"cache-status", "connection", "keep-alive", "date", "server", "via"}
ISSUER = "/CN=Authority of the tests"

checks = 0


def expect(condition, text):
    global checks
    if not condition:
        raise SystemExit(f"FAIL  {text}")
    checks += 1


class Program:
    """A process with a log."""

    def __init__(self, folder, *command):
        self.command, self.log = command, folder / f"{Path(command[0]).name}.log"
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def run(*command, stdin=None):
    """Runs a command. Returns what it printed."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"FAIL  {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Response:
    def __init__(self, version, head, body):
        lines = head.split("\r\n")
        self.version, self.status, self.body = version, int(lines[0].split()[1]), body
        self.headers = {}
        for name, value in (line.split(":", 1) for line in lines[1:]):
            self.headers[name.lower()] = ", ".join(filter(None, [self.headers.get(name.lower()), value.strip()]))

    def compared(self):
        return self.status, {name: value for name, value in self.headers.items() if name not in NOT_COMPARED}, self.body

    def shown(self):
        return f"{self.status} {self.headers} {self.body[:100]}"


def fetch(url, *options):
    """A request by curl. Names are resolved by the name server of the fleet, and certificates verified by the system's authorities."""
    with tempfile.NamedTemporaryFile() as body, tempfile.NamedTemporaryFile() as head:
        command = ["curl", "-sS", "--path-as-is", "-m", "60", "-D", head.name, "-o", body.name, "-w", "%{http_version}", *options, url]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{url}: {done.stderr.strip()}")
        # With --head curl writes the headers to the file of the body too.
        content = b"" if "--head" in options else Path(body.name).read_bytes()
        return Response(done.stdout, Path(head.name).read_bytes().decode().split("\r\n\r\n")[-2], content)


class Machine:
    """The machine with origin, name server and edge."""

    def __init__(self, folder, binaries):
        self.folder, self.programs, self.authority = folder, [], None
        os.environ["PATH"] = f"{binaries}:{os.environ['PATH']}:/usr/sbin"
        os.environ["HOME"] = "/var/lib"
        for own in OWN:
            copy = folder / own.replace("/", "", 1).replace("/", "-")
            if own in ["/etc", "/var/www"]:
                shutil.copytree(own, copy, symlinks=True, ignore=shutil.ignore_patterns("verge"))
            else:
                copy.mkdir()
            run("mount", "--bind", copy, own)
        run("ip", "link", "set", "lo", "up")
        for address in ADDRESSES:
            run("ip", "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        Path("/etc/resolv.conf").unlink(missing_ok=True)
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1\n")
        Path("/etc/verge").mkdir()
        for path in ["/var/lib/nginx", "/var/log/nginx"]:
            Path(path).mkdir()
        self.make_certificates()

    def make_certificates(self):
        """An authority that this machine trusts, and the certificates that the samples name."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        authority, extensions = self.folder / "authority", self.folder / "extensions"
        run("openssl", "req", "-x509", *key, "-days", "2", "-subj", ISSUER, "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        for name, names in {BASE: [BASE, f"*.{BASE}", DOMAIN], DOMAIN: [DOMAIN]}.items():
            path = f"/etc/verge/{name}"
            extensions.write_text(f"subjectAltName = {','.join(f'DNS:{name}' for name in names)}\n")
            run("openssl", "req", *key, "-subj", f"/CN={name}", "-keyout", f"{path}.key.pem", "-out", f"{path}.csr")
            issuer = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", extensions]
            run("openssl", "x509", "-req", "-days", "1", "-in", f"{path}.csr", *issuer, "-out", f"{path}.chain.pem")
        with open("/etc/ssl/certs/ca-certificates.crt", "a") as trusted:
            trusted.write(Path(f"{authority}.pem").read_text())

    def start(self, *command):
        self.programs.append(Program(self.folder, *command))
        return self.programs[-1]

    def close(self):
        for program in self.programs:
            program.kill()

    def found(self):
        """The log of each program, and of nginx."""
        logs = [program.log for program in self.programs] + list(Path("/var/log/nginx").glob("error.log"))
        return "".join(f"--- {log}\n{log.read_text()[-3000:]}" for log in logs)


def start_fleet(machine):
    """By the commands that an operator runs, with the settings that the samples ask for."""
    origin = f'data = "/var/lib/verge-origin"\nsites_url = "https://{BASE}"\ntls_listen = "127.0.0.1:7443"\n'
    Path("/etc/verge/verge-origin.toml").write_text(origin)
    machine.origin = machine.start("verge-origin")
    until("the origin answers", lambda: answers(("127.0.0.1", 7500), "/healthz"))
    pin, token = run("verge-origin", "pin").strip(), Path("/var/lib/verge-origin/admin-token").read_text()
    run("verge", "login", "https://127.0.0.1:7443", "--pin", pin, stdin=token)

    addresses = ",".join(sorted(ADDRESSES))
    run(*run("verge", "edges", "add", "fra-1", "--at", "Frankfurt", "--address", addresses).split())
    settings = Path("/etc/verge/verge-edge.toml")
    for sample in SAMPLES.iterdir():
        wanted = re.findall(r"^#\s+((?:listen|url) = .*)", sample.read_text(), re.M)
        expect(len(wanted) == 2, f"{sample.name} names the settings of the edge")
    kept = [line for line in settings.read_text().splitlines() if not re.match("(listen|tls_listen|url) =", line)]
    settings.write_text("\n".join([*wanted, *kept]))
    machine.edge = machine.start("verge-edge")

    run(*run("verge", "dns", "add", "ns-1", "--address", "127.0.0.1").split())
    settings = Path("/etc/verge/verge-geodns.toml")
    # Without edges that are up there are no addresses in answers: so readers notice.
    more = f'[answers]\nall_down = "nothing"\n[health]\ninterval_seconds = 0.5\nretry_seconds = 0.2\nhost = "status.{BASE}"\n'
    settings.write_text(f"{settings.read_text()}\n{more}")
    machine.start("verge-geodns")
    until("the name server answers", lambda: answers(("127.0.0.1", 7601), "/healthz"))
    until("the edge reports", lambda: " live " in run("verge", "edges"))


def answers(address, path):
    try:
        return request(address, path)
    except OSError:
        return None


def make_site(folder):
    folder.mkdir()
    (folder / "index.html").write_text("<p>hello</p>\n" * 500)
    # No coding makes this shorter: edges send it without.
    (folder / "noise.html").write_bytes(random.Random(2).randbytes(2000))
    (folder / "docs").mkdir()
    (folder / "docs/index.html").write_text("<p>documents</p>\n")
    (folder / "404.html").write_text("<p>not here</p>\n")
    (folder / "a b+ü.txt").write_text("a name\n")
    (folder / "film.bin").write_bytes(random.Random(1).randbytes(20_000_000))


def addresses_of(name):
    """What the name server answers, as the resolver of the system reads it."""
    try:
        return {address[0] for *_, address in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)}
    except socket.gaierror:
        return set()


def explanation():
    return run("verge", "dns", "explain", "198.51.100.9", SITE, "--name-server", "http://127.0.0.1:7601")


def check_responses():
    """Compares responses through the proxy with those of the edge, by HTTP/1.1 and HTTP/2."""
    etag = lambda *options: fetch(EDGE, "-H", f"Host: {SITE}", *options).headers["etag"]
    codings = {coding: ["-H", f"Accept-Encoding: {coding}"] for coding in ["br", "gzip", "identity"]}
    tags = {coding: etag(*options) for coding, options in codings.items()}
    expect(len(set(tags.values())) == 3, f"each coding has its own ETag: {tags}")
    # Path, options of curl, expected status, and headers that must be there.
    requests = [
        ("/", [], 200, {"etag": tags["identity"], "verge-release": "v1", "verge-edge": "fra-1"}),
        ("/", codings["br"], 200, {"etag": tags["br"], "content-encoding": "br"}),
        ("/", codings["gzip"], 200, {"etag": tags["gzip"], "content-encoding": "gzip"}),
        ("/", ["-H", "Accept-Encoding: gzip, deflate, br, zstd"], 200, {"content-encoding": "br"}),
        ("/", [*codings["br"], "-H", f"If-None-Match: {tags['br']}"], 304, {"etag": tags["br"]}),
        ("/", [*codings["gzip"], "-H", f"If-None-Match: W/{tags['gzip']}"], 304, {"etag": tags["gzip"]}),
        ("/", ["-H", f"If-None-Match: {tags['br']}"], 200, {"etag": tags["identity"]}),
        ("/", ["-H", f"If-Match: {tags['br']}"], 412, {}),
        ("/", ["-H", "Range: bytes=10-99"], 206, {"content-range": "bytes 10-99/6500", "etag": tags["identity"]}),
        ("/", [*codings["gzip"], "-H", "Range: bytes=-5"], 206, {"content-range": "bytes 6495-6499/6500"}),
        ("/", ["-H", "Range: bytes=1-2", "-H", f"If-Range: {tags['identity']}"], 206, {}),
        ("/", ["-H", "Range: bytes=1-2", "-H", f"If-Range: {tags['br']}"], 200, {}),
        ("/", ["-H", "Range: bytes=7000-"], 416, {"content-range": "bytes */6500"}),
        ("/", ["--head", *codings["br"]], 200, {"etag": tags["br"], "content-encoding": "br"}),
        ("/", ["-H", "Want-Repr-Digest: sha-256=1"], 200, {"repr-digest": None}),
        ("/noise.html", codings["gzip"], 200, {"content-length": "2000"}),
        ("/film.bin", codings["br"], 200, {"content-length": "20000000"}),
        ("/film.bin", ["-H", "Range: bytes=9999990-10000009"], 206, {"content-length": "20"}),
        ("/missing", [], 404, {"verge-release": "v1"}),
        ("/a%20b+%C3%BC.txt?x=1&y", [], 200, {}),
        ("/a%2Fb", [], 404, {}),
        ("/x/../film.bin", ["-H", "Range: bytes=0-1"], 404, {}),
        ("//film.bin", ["-H", "Range: bytes=0-1"], 308, {"location": "/film.bin"}),
        ("/docs?a=b", [], 308, {"location": "/docs/?a=b"}),
        ("/", ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket"], 200, {"etag": tags["identity"]}),
        ("/", ["-d", "x=1"], 413, {}),
        ("/", ["-X", "DELETE"], 405, {"allow": None}),
        ("/.well-known/verge/health", [], 200, {}),
        ("/.well-known/acme-challenge/unknown", [], 404, {"verge-edge": "fra-1"}),
    ]
    for path, options, status, headers in requests:
        direct = fetch(f"{EDGE}{path}", "-H", f"Host: {SITE}", *options)
        for version in ["1.1", "2"]:
            proxied = fetch(f"https://{SITE}{path}", f"--http{version}", *options)
            what = f"{path} {options} over HTTP/{version}"
            expect(proxied.version == version, f"{what}: answered with HTTP/{proxied.version}")
            expect(proxied.status == status, f"{what}: status {proxied.status}, expected {status}; the edge answers {direct.status}")
            for name, value in headers.items():
                found = proxied.headers.get(name)
                expect(found and value in (None, found), f"{what}: `{name}` is {found}, expected {value}")
            if path.endswith("/health"):
                # Seconds pass.
                proxied.body, direct.body = (re.sub(rb'_seconds":\d+', b"", response.body) for response in (proxied, direct))
            expect(proxied.compared() == direct.compared(), f"{what}: {proxied.shown()}, but the edge answers {direct.shown()}")
    expect(fetch(f"https://{SITE}/missing").body == b"<p>not here</p>\n", "the site's own page for 404")
    # Names that are not in DNS.
    for host in [f"unknown.{BASE}", DOMAIN]:
        proxied, direct = fetch(f"https://{host}/", "--resolve", f"{host}:443:203.0.113.7"), fetch(EDGE, "-H", f"Host: {host}")
        expect(direct.status == 404 and proxied.compared() == direct.compared(), f"{host}: {proxied.shown()}, but the edge answers {direct.shown()}")
    return len(requests)


def check_redirects():
    for host in [SITE, BASE]:
        plain = fetch(f"http://{host}/a%20b?x=1", "--resolve", f"{host}:80:203.0.113.7")
        location = plain.headers.get("location")
        expect((plain.status, location) == (308, f"https://{host}/a%20b?x=1"), f"http://{host}: {plain.status}, {location}")
    expect(fetch(f"http://{SITE}/", "-L").status == 200, "the redirect leads to the page")
    challenge = fetch(f"http://{SITE}/.well-known/acme-challenge/unknown")
    expect((challenge.status, challenge.headers.get("verge-edge")) == (404, "fra-1"), "the edge answers challenges")
    for address in ["203.0.113.7", "[2001:db8::7]"]:
        health = fetch(f"http://{address}/.well-known/verge/health")
        expect(health.status == 200 and b'"edge":"fra-1"' in health.body, f"the health page at {address}: {health.shown()}")


def check_other_site():
    """Debian's default site of nginx, and a challenge to a client of its own."""
    expect(b"Welcome to nginx" in fetch("http://203.0.113.7/", "-H", "Host: other.example").body, "other sites stay")
    folder = Path("/var/www/acme/.well-known/acme-challenge")
    folder.mkdir(parents=True)
    (folder / "token").write_text("answer")
    expect(fetch(f"http://{SITE}/.well-known/acme-challenge/token").body == b"answer", "challenges of this machine are answered")


def closed_connections():
    """How many connections from this machine to the edge were closed within the last minute: they wait in state 06."""
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[3] == "06" and ":1F90" in fields[1] + fields[2] for fields in table)


def check_connections():
    before, count = closed_connections(), 20
    for _ in range(count):
        fetch(f"https://{SITE}/")
    expect(closed_connections() - before < count / 2, "connections to the edge are used again")
    refused = subprocess.run(["curl", "-sS", "--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0", f"https://{SITE}/"], capture_output=True)
    expect(refused.returncode == 35, f"TLS 1.1 is refused: {refused}")


def stored_by(proxy):
    """The size of the files that the processes of a proxy have open, in bytes, but for logs. Those that have no name any more count too."""
    size = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError):
            if (process / "comm").read_text().strip() != Path(proxy.command[0]).name:
                continue
            for file in (process / "fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISREG(file.stat().st_mode) and not os.readlink(file).endswith(".log"):
                        size += file.stat().st_size
    return size


def check_slow_reader(proxy):
    """A reader who takes a large file slowly: what it has not taken is not stored."""
    with tempfile.TemporaryFile() as file:
        reader = subprocess.Popen(["curl", "-sS", "--limit-rate", "1M", f"https://{SITE}/film.bin"], stdout=file, stderr=subprocess.STDOUT)
        time.sleep(2)
        stored, is_running = stored_by(proxy), reader.poll() is None
        reader.kill()
        reader.wait()
    expect(is_running, "the slow reader still reads")
    expect(stored < 100_000, f"{stored} bytes of a response are on disk")


def check_health(machine):
    """Health checks of either scheme keep the edge in answers; a dead edge leaves them, and returns."""
    for scheme, port in [("http", "80"), ("https", "443")]:
        run("verge", "edges", "set", "fra-1", "--scheme", scheme, "--port", "9")
        until("the name server leaves the edge out, since no port is open there", lambda: not addresses_of(SITE))
        run("verge", "edges", "set", "fra-1", "--port", port)
        until(f"checks by {scheme} keep the edge in answers", lambda: addresses_of(SITE) == ADDRESSES)
        until("both addresses are up", lambda: explanation().count("up: answered in") == 2)
        expect("up and current" in explanation(), explanation())
    machine.edge.kill()
    until("the name server leaves the dead edge out", lambda: not addresses_of(SITE))
    status = fetch(f"https://{SITE}/", "--resolve", f"{SITE}:443:203.0.113.7").status
    expect(status == 502, f"the proxy answers {status} without the edge")
    until("`verge dns explain` says why", lambda: "last probe failed: status 502" in explanation())
    machine.edge.start()
    until("the name server answers with the edge again", lambda: addresses_of(SITE) == ADDRESSES)
    expect(fetch(f"https://{SITE}/").status == 200, "the proxy uses the edge again")


def check_redirected_health(machine, proxy, sample):
    """Health checks without TLS at a proxy that redirects them: the word of `verge dns explain`, and what it says to do."""
    run("verge", "edges", "set", "fra-1", "--scheme", "http", "--port", "80")
    text = proxy.config.read_text()
    # Not passed on without TLS any more.
    changed = text.replace("location = /.well-known/verge/health {", "location = /unused {").replace("@edge path /.well-known/verge/health ", "@edge path ")
    expect(changed != text, f"{sample} passes the health page on")
    proxy.config.write_text(changed)
    proxy.restart()
    until("the name server leaves the edge out", lambda: not addresses_of(SITE))
    until("both addresses are redirected", lambda: explanation().count("the last probe failed: status 308: something in front") == 2)
    told = explanation()
    print(re.search(".*status 308.*", told)[0].strip())
    expect(" live " in run("verge", "edges"), "the origin hears from the edge")
    advice = re.search(r"`verge (edges set fra-1 .*?)`", told)
    expect(advice, f"what to do is said:\n{told}")
    run("verge", *advice[1].split())
    until("checks succeed as advised", lambda: addresses_of(SITE) == ADDRESSES)
    proxy.config.write_text(text)


def check_challenges(machine):
    """An authority asks for a file at the site's host (HTTP-01): the proxy passes it to the edge, which has the answer from the feed."""
    if not machine.authority:
        machine.authority = Authority(machine.folder, "127.0.0.1:53", http_port=80)
        machine.authority.start()
        machine.programs.append(machine.authority)
        with open("/etc/verge/verge-origin.toml", "a") as settings:
            settings.write(f'[acme]\ndirectory = "{machine.authority.directory}"\nca_file = "{machine.authority.certificate}"\nsites = "each"\n')
        machine.origin.stop()
        before = 0
        machine.origin.start()
        until("the origin answers", lambda: answers(("127.0.0.1", 7500), "/healthz"))
    else:
        before = machine.authority.issued()
        run("verge", "certs", "rekey", SITE)
    until("the site has a certificate", lambda: machine.authority.issued() > before)
    until("it is listed", lambda: [one["issuer"] is not None and one["problem"] is None for one in json.loads(run("verge", "certs", "--json"))] == [True])
    expect(machine.authority.issued() == before + 1, "one certificate is issued")


class Proxy:
    """A proxy with a sample as its configuration."""

    def __init__(self, machine, sample, config, *command):
        self.machine, self.command, self.config = machine, command, Path(config)
        self.config.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, self.config)
        self.start()

    def start(self):
        self.program = self.machine.start(*self.command)
        until(f"{self.command[0]} answers", lambda: self.program.process.poll() is not None or answers(("203.0.113.7", 443), "/"))
        expect(self.program.process.poll() is None, f"{self.command[0]} runs:\n{self.program.log.read_text()}")

    def restart(self):
        self.program.stop()
        self.start()


def play(machine, arguments):
    start_fleet(machine)
    make_site(machine.folder / "site")
    run("verge", "push", machine.folder / "site", "--site", "demo", "--no-wait")
    until("the edge serves the site", lambda: fetch(EDGE, "-H", f"Host: {SITE}").status == 200)
    # Debian's configuration, which compresses, allows TLS 1.0 as soon as the ciphers do, and has another site.
    Path("/etc/nginx/conf.d/ciphers.conf").write_text("ssl_ciphers DEFAULT:@SECLEVEL=0;\n")
    nginx = ["nginx.conf", "/etc/nginx/sites-enabled/verge", arguments.nginx, "-g", "daemon off;"]
    caddy = ["Caddyfile", "/etc/caddy/Caddyfile", arguments.caddy, "run", "--config", "/etc/caddy/Caddyfile"]
    for sample, config, *command in [nginx, caddy]:
        before = checks
        proxy = Proxy(machine, SAMPLES / sample, config, *command)
        until("checks of the name server succeed", lambda: addresses_of(SITE) == ADDRESSES)
        pushed = json.loads(run("verge", "push", machine.folder / "site", "--site", "demo", "--json"))
        expect("v1" in json.dumps(pushed["checked"]), f"`verge push` asks the edge through the proxy: {pushed}")
        count = check_responses()
        check_redirects()
        if sample == "nginx.conf":
            check_other_site()
        check_connections()
        check_slow_reader(proxy)
        check_health(machine)
        check_challenges(machine)
        check_redirected_health(machine, proxy, sample)
        proxy.program.stop()
        print(f"{sample}: {checks - before} checks, {count} requests compared by HTTP/1.1 and HTTP/2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release", help="the folder of the executables")
    parser.add_argument("--nginx", default="nginx", help="the executable of nginx")
    parser.add_argument("--caddy", default="caddy", help="the executable of Caddy")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root, for namespaces")
    hosts.isolate()
    folder = Path(tempfile.mkdtemp(prefix="verge-proxies-"))
    machine = None
    try:
        machine = Machine(folder, arguments.binaries.resolve())
        play(machine, arguments)
    except BaseException:
        if machine:
            print(machine.found(), file=sys.stderr)
        raise
    finally:
        if machine:
            machine.close()
        for own in reversed(OWN):
            subprocess.run(["umount", own], capture_output=True)
        shutil.rmtree(folder)
    print(f"{checks} checks")


if __name__ == "__main__":
    main()

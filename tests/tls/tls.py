#!/usr/bin/env python3
"""Tests HTTPS of a whole fleet with third-party tools: pebble as the certificate authority, and curl, Chromium, openssl and testssl as clients.

    tls.py [--binaries DIR]     executables in target/release by default

An origin with a name server gets certificates for two sites and a domain, which three edges present. All run at loopback addresses in a
network namespace of their own. Needs root. Prints a line for each check; the last line counts them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "tests/chaos"))

import hosts
import readers
import sessions
import testssl
from daemons import until
from fleet import BASE, EDGES, HOSTS, ORIGIN_TLS, PAGE, Fleet

# Names that the wildcard of the sites does not cover, nor any domain.
UNKNOWN = ["nobody.example.test", f"a.b.{BASE}"]
VERSIONS = {"tls1_2": "TLS 1.2", "tls1_3": "TLS 1.3"}

passed, failed = 0, 0


def check(name, seen, wanted):
    global passed, failed
    if seen == wanted:
        passed += 1
        print(f"ok    {name}", flush=True)
    else:
        failed += 1
        print(f"FAIL  {name}: seen {seen!r}, expected {wanted!r}", flush=True)


def check_curl(fleet):
    for edge, (address, _) in EDGES.items():
        for host, text in HOSTS.items():
            seen = readers.curl(host, address, fleet.root)
            check(f"curl: {host} at {edge} answers 200 over HTTP/2 and TLS 1.3", seen, ("200 over HTTP/2, TLSv1.3", PAGE.format(text=text)))
        for host in UNKNOWN:
            answer, _ = readers.curl(host, address, fleet.root)
            check(f"curl: {host} at {edge} is refused: unrecognized name", answer, "error 35: tlsv1 unrecognized name")


def check_chromium(fleet):
    browser, stranger = readers.Chromium(fleet.folder / "browser", fleet.root), readers.Chromium(fleet.folder / "stranger")
    for edge, (address, _) in EDGES.items():
        for host, text in HOSTS.items():
            check(f"chromium: {host} at {edge} shows its title, over h2", browser.read(host, address), (text, "loaded by h2"))
    host, (address, _) = next(iter(HOSTS)), next(iter(EDGES.values()))
    check("chromium: without the authority's root certificate nothing is shown", stranger.read(host, address), (None, None))


def check_sessions(fleet):
    host, edges = next(iter(HOSTS)), list(EDGES)

    def begin(version, edge):
        sessions.begin(host, version, EDGES[edge][0], fleet.root, fleet.folder / version)

    def is_resumed(version, edge):
        return sessions.is_resumed(host, version, EDGES[edge][0], fleet.root, fleet.folder / version)

    for version, name in VERSIONS.items():
        for first, second in zip(edges, edges[1:] + edges[:1]):
            begin(version, first)
            check(f"openssl: a session of {name} from {first} is resumed at {second}", is_resumed(version, second), True)
    first, second, lost = edges
    for version in VERSIONS:
        begin(version, first)
    fleet.verge("edges", "remove", lost, "--compromised", "--yes")
    for version, name in VERSIONS.items():
        for edge in [first, second]:
            until(f"{edge} has the new secret", lambda: not is_resumed(version, edge))
            check(f"openssl: a session of {name} is not resumed at {edge} after {lost} was removed as compromised", is_resumed(version, edge), False)
        begin(version, first)
        check(f"openssl: a later one of {name} from {first} is resumed at {second}", is_resumed(version, second), True)


def check_testssl(fleet):
    (host, (address, _)), (origin, port) = (next(iter(HOSTS)), next(iter(EDGES.values()))), ORIGIN_TLS.split(":")
    targets = {"an edge": (host, address, 443), "the origin's API": (origin, origin, port)}
    with ThreadPoolExecutor() as pool:
        # It mostly waits.
        scans = {name: pool.submit(testssl.scan, *target, fleet.root, fleet.folder / f"{target[2]}.json") for name, target in targets.items()}
    for (name, scan), excused in zip(scans.items(), [testssl.EDGE, testssl.ORIGIN]):
        findings = scan.result()
        found = [id for id in excused if findings.get(id, ("OK",))[0] not in testssl.GOOD]
        check(f"testssl: {len(findings)} findings at {name}, none above LOW except {', '.join(found)}", testssl.problems(findings, excused), [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release", help="the folder of the executables")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root, for network namespaces")
    hosts.isolate()
    # No proxy can be reached from there.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    folder = Path(tempfile.mkdtemp(prefix="verge-tls-"))
    fleet = Fleet(folder, arguments.binaries.resolve())
    try:
        fleet.start()
        for part in [check_curl, check_chromium, check_testssl, check_sessions]:
            part(fleet)
    except BaseException:
        print(fleet.logs(), file=sys.stderr)
        raise
    finally:
        fleet.close()
        shutil.rmtree(folder)
    print(f"{passed} checks passed, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

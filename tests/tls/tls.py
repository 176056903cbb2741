#!/usr/bin/env python3
"""Tests HTTPS of a whole fleet with third-party tools: pebble as the certificate authority, and curl, Chromium, openssl and testssl as clients.

    tls.py [--binaries DIR]     executables in target/release by default

An origin with a name server gets certificates for two sites and a domain, which three edges present, and for a domain that moves to them from
another host. All run at loopback addresses in a network namespace of their own. Needs root. Prints a line for each check; the last line counts
them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "tests/chaos"))

import hosts
import moves
import readers
import sessions
import testssl
from daemons import until
from fleet import API, API_TLS, BASE, EDGES, HOSTS, PAGE, SITES, Fleet

# Names that the wildcard of the sites does not cover, nor any domain.
UNKNOWN = ["nobody.example.test", f"a.b.{BASE}"]
VERSIONS = {"tls1_2": "TLS 1.2", "tls1_3": "TLS 1.3"}

results = []


def check(name, seen, wanted):
    results.append(seen == wanted)
    print(f"ok    {name}" if seen == wanted else f"FAIL  {name}: seen {seen!r}, expected {wanted!r}", flush=True)


def check_curl(fleet):
    for edge, (address, _) in EDGES.items():
        for host, text in HOSTS.items():
            seen = readers.curl(host, address, fleet.root)
            check(f"curl: {host} at {edge} answers 200 over HTTP/2 and TLS 1.3", seen, ("200 over HTTP/2, TLSv1.3", PAGE.format(text=text)))
        for host in UNKNOWN:
            answer, _ = readers.curl(host, address, fleet.root)
            check(f"curl: {host} at {edge} is refused: unrecognized name", answer, "error 35: tlsv1 unrecognized name")
    (address, port) = API_TLS
    answer, _ = readers.curl(API, address, fleet.root, port, "/v1/status")
    check("curl: the API of the origin is verified by its name", answer, "401 over HTTP/2, TLSv1.3")
    answer, _ = readers.curl(API, next(iter(EDGES.values()))[0], fleet.root)
    check("curl: an edge shows no site at the name of the API", answer, "404 over HTTP/2, TLSv1.3")


def check_chromium(fleet):
    browser, stranger = readers.Chromium(fleet.folder / "browser", fleet.root), readers.Chromium(fleet.folder / "stranger")
    for edge, (address, _) in EDGES.items():
        for host, text in HOSTS.items():
            check(f"chromium: {host} at {edge} shows its title, over h2", browser.read(host, address), (text, "loaded by h2"))
    host, (address, _) = next(iter(HOSTS)), next(iter(EDGES.values()))
    title, text = stranger.read(host, address)
    # Some versions show a page of their own that says so.
    check("chromium: without the authority's root certificate the page is not shown", (title == HOSTS[host], text == "loaded by h2"), (False, False))


def check_move(fleet):
    """Readers of a domain notice nothing when it moves to the fleet, as `verge domains` says how."""
    host, page, edges = moves.HOST, PAGE.format(text=SITES["one"]), {address: edge for edge, (address, _) in EDGES.items()}
    elsewhere = f"{host}. A {moves.ADDRESS}\n"
    fleet.write_records(elsewhere)
    until("the domain is at its old host", lambda: moves.resolve()[0] == [moves.ADDRESS])
    old = moves.OldHost(fleet.folder)
    crowd = moves.Readers([fleet.root, old.root], {moves.ADDRESS: moves.PAGE, **dict.fromkeys(edges, page)})
    try:
        records = fleet.verge("domains", "add", host, "--site", "one")
        fleet.write_records(elsewhere, records)
        fleet.wait_for_proof(host)
        until("every edge presents the domain's certificate", lambda: fleet.has_certificates(3))
        for address, edge in edges.items():
            seen = readers.curl(host, address, fleet.root)
            check(f"move: {edge} serves {host} over TLS 1.3 before its address changes", seen, ("200 over HTTP/2, TLSv1.3", page))
        (addresses, ttl), answering = moves.resolve(), {*crowd.answers, *crowd.last}
        check(f"move: until then {host} is at its old host, which answers all readers", (addresses, answering), ([moves.ADDRESS], {moves.ADDRESS}))
        fleet.write_records(records, fleet.verge("domains", "check", host))
        until("the domain is at edges", lambda: moves.ADDRESS not in moves.resolve()[0])
        time.sleep(ttl)
        until("edges answer all readers", lambda: moves.ADDRESS not in crowd.last)
        old.close()
        time.sleep(2)
    finally:
        crowd.close()
        old.close()
    numbers = ", ".join(f"{name} {crowd.answers[address]}" for address, name in {moves.ADDRESS: "the old host", **edges}.items())
    check(f"move: no reader's request failed, of {crowd.answers.total()} answered: {numbers}", dict(crowd.failures), {})


def check_clients(fleet):
    with ThreadPoolExecutor() as pool:
        # It mostly waits for the certificate: the origin looks for orders every 20 s.
        move = pool.submit(check_move, fleet)
        check_curl(fleet)
        check_chromium(fleet)
        move.result()


def on_session(action, fleet, version, edge):
    return action(next(iter(HOSTS)), version, EDGES[edge][0], fleet.root, fleet.folder / version)


def check_sessions(fleet):
    edges = list(EDGES)
    begin, is_resumed = partial(on_session, sessions.begin, fleet), partial(on_session, sessions.is_resumed, fleet)
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


def check_rotations(fleet):
    """The keys of tickets change each hour; those of the hour before are accepted."""
    first, second, *_ = EDGES
    begin, is_resumed = partial(on_session, sessions.begin, fleet), partial(on_session, sessions.is_resumed, fleet)
    # Five minutes past, so that no hour ends meanwhile.
    ahead = (300 - time.time()) % 3600
    fleet.edge_clock.set_ahead(ahead)
    for version in VERSIONS:
        begin(version, first)
    for hours, wanted in [(1, True), (2, False)]:
        fleet.edge_clock.set_ahead(ahead + hours * 3600)
        for version, name in VERSIONS.items():
            for edge in [first, second]:
                check(f"openssl: a session of {name} is {'' if wanted else 'not '}resumed at {edge} after {hours} h", is_resumed(version, edge), wanted)
    for version, name in VERSIONS.items():
        begin(version, first)
        check(f"openssl: then a later one of {name} from {first} is resumed at {second}", is_resumed(version, second), True)


def check_testssl(fleet):
    host, (address, _) = next(iter(HOSTS)), next(iter(EDGES.values()))
    targets = {"an edge": (host, address, 443), "the origin's API": (API, *API_TLS)}
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
        for part in [check_clients, check_testssl, check_sessions, check_rotations]:
            part(fleet)
    except BaseException:
        print(fleet.logs(), file=sys.stderr)
        raise
    finally:
        fleet.close()
        shutil.rmtree(folder)
    print(f"{results.count(True)} checks passed, {results.count(False)} failed")
    return not all(results)


if __name__ == "__main__":
    sys.exit(main())

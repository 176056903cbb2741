"""Sends the queries of the workloads to a server and compares the answers with the right ones.

    check.py FOLDER PORT nearest|country|fixed    exit 0: all answers are right; 1: prints the first wrong ones
    check.py FOLDER PORT ready PROCESS            exit 0: the server answers; 1: its process exited, or 30 s passed

`nearest`: the server uses distances. `country`: it sends each country to one data centre. `fixed`: it sends all clients to the first
data centre and does not echo client subnets.
"""

import ipaddress
import random
import socket
import sys
import time
from pathlib import Path

from message import Answer, query

TTL = 60
HOME = "nrt"  # The data centre nearest to 127.0.0.0/8 in the database of bench/run.


def main():
    folder, port, mode = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    names = [name for (name,) in rows(folder / "names")]
    if mode == "ready":
        sys.exit(0 if becomes_ready(port, names[0], sys.argv[4]) else 1)
    centres = {name: fields for name, *fields in rows(folder / "centres.tsv")}
    rng = random.Random(1)
    wrong, scopes, count = [], [], 0
    for subnet, nearest, country in [(None, HOME, HOME), *rows(folder / "subnets.tsv")]:
        centre = {"nearest": nearest, "country": country, "fixed": next(iter(centres))}[mode]
        for kind, expected in (("A", centres[centre][2:4]), ("AAAA", centres[centre][4:6])):
            name = rng.choice(names) if subnet else names[0]
            network = ipaddress.ip_network(subnet) if subnet else None
            answer, count = exchange(port, query(name, kind, network)), count + 1
            error = check(answer, set(expected), None if mode == "fixed" else network)
            if error:
                wrong.append(f"{name} {kind} from {subnet or '127.0.0.1'}: {error}")
            elif answer.subnet and network.version == 4:
                scopes.append(answer.scope)
    if wrong:
        print("\n".join(wrong[:5]), f"\n{len(wrong)} of {count} answers are wrong")
        sys.exit(1)
    scopes.sort()
    summary = f"IPv4 scopes /{scopes[0]} to /{scopes[-1]}, median /{scopes[len(scopes) // 2]}" if scopes else "no scopes"
    print(f"all {count} answers are right; {summary}")


def rows(path):
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def check(answer, expected, network):
    """The first error of an answer; None if it is right."""
    if answer is None:
        return "no answer"
    if answer.rcode or not answer.authoritative or answer.truncated:
        return f"rcode {answer.rcode}, authoritative {answer.authoritative}, truncated {answer.truncated}"
    if answer.addresses != expected:
        return f"{sorted(answer.addresses)} instead of {sorted(expected)}"
    if answer.ttls != {TTL}:
        return f"TTL {answer.ttls} instead of {TTL}"
    if answer.subnet != network:
        return f"client subnet {answer.subnet} instead of {network}"
    return None


def exchange(port, message, timeout=1.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(timeout)
        server.connect(("127.0.0.1", port))
        try:
            server.send(message)
            return Answer(server.recv(4096))
        except OSError:
            return None


def becomes_ready(port, name, process):
    end = time.monotonic() + 30
    while time.monotonic() < end and Path("/proc", process).exists():
        answer = exchange(port, query(name, "A"), timeout=0.2)
        if answer and not answer.rcode and answer.addresses:
            return True
        time.sleep(0.1)
    return False


main()

"""Asks a server what the workloads ask, and compares with what is right.

    check.py FOLDER PORT nearest|country|alike    exit 0: every answer is right; 1: the first wrong ones are printed
    check.py FOLDER PORT ready PROCESS            exit 0: it answers; 1: the process ended, or half a minute passed

`nearest`: the server knows distances. `country`: it sends each country to one data centre. `alike`: it sends everybody to the first
data centre, and says nothing of client subnets.
"""

import ipaddress
import random
import socket
import sys
import time
from pathlib import Path

from message import Answer, query

TTL = 60
HOME = "nrt"  # Where bench/run puts 127.0.0.0/8.


def main():
    folder, port, task = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    names = [name for (name,) in rows(folder / "names")]
    if task == "ready":
        sys.exit(0 if becomes_ready(port, names[0], sys.argv[4]) else 1)
    centres = {name: fields for name, *fields in rows(folder / "centres.tsv")}
    chance = random.Random(1)
    wrong, scopes, asked = [], [], 0
    for subnet, nearest, country in [(None, HOME, HOME), *rows(folder / "subnets.tsv")]:
        centre = {"nearest": nearest, "country": country, "alike": next(iter(centres))}[task]
        for kind, right in (("A", centres[centre][2:4]), ("AAAA", centres[centre][4:6])):
            name = chance.choice(names) if subnet else names[0]
            network = ipaddress.ip_network(subnet) if subnet else None
            answer, asked = ask(port, query(name, kind, network)), asked + 1
            fault = fault_of(answer, set(right), None if task == "alike" else network)
            if fault:
                wrong.append(f"{name} {kind} from {subnet or '127.0.0.1'}: {fault}")
            elif answer.subnet and network.version == 4:
                scopes.append(answer.scope)
    if wrong:
        print("\n".join(wrong[:5]), f"\n{len(wrong)} of {asked} answers are wrong")
        sys.exit(1)
    scopes.sort()
    said = f"IPv4 scopes /{scopes[0]} to /{scopes[-1]}, median /{scopes[len(scopes) // 2]}" if scopes else "no scopes"
    print(f"{asked} answers right; {said}")


def rows(path):
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def fault_of(answer, right, network):
    if answer is None:
        return "no answer"
    if answer.rcode or not answer.authoritative or answer.truncated:
        return f"rcode {answer.rcode}, authoritative {answer.authoritative}, truncated {answer.truncated}"
    if answer.addresses != right:
        return f"{sorted(answer.addresses)} instead of {sorted(right)}"
    if answer.ttls != {TTL}:
        return f"TTL {answer.ttls} instead of {TTL}"
    if answer.subnet != network:
        return f"client subnet {answer.subnet}"
    return None


def ask(port, message, patience=1.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(patience)
        server.connect(("127.0.0.1", port))
        try:
            server.send(message)
            return Answer(server.recv(4096))
        except OSError:
            return None


def becomes_ready(port, name, process):
    end = time.monotonic() + 30
    while time.monotonic() < end and Path("/proc", process).exists():
        answer = ask(port, query(name, "A"), patience=0.2)
        if answer and not answer.rcode and answer.addresses:
            return True
        time.sleep(0.1)
    return False


main()

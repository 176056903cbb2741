"""What all servers are asked, and what is right: names, data centres, regions, client subnets and query files.

    world.py LIST FOLDER SEED

LIST is what `verge-mmdb --list` wrote. Into FOLDER go, separated by tabs:

    names         a name a line; the first is the hot one
    centres.tsv   data centre, latitude, longitude, two IPv4 and two IPv6 addresses
    regions.tsv   continent, country, data centre; `*` for any. For servers that know no distances: each country, and each
                  continent, goes to the data centre nearest to most of its networks
    subnets.tsv   client subnet, data centre nearest to it, data centre of its country
    one.queries   workload `one`: the hot name, A, no EDNS
    ecs.queries   workload `ecs`: every other name from every subnet, A or AAAA, with EDNS client subnet

Query files are DNS messages, each after its length in two bytes: `dnsperf -B`.
"""

import ipaddress
import random
import struct
import sys
from collections import Counter
from pathlib import Path

from message import query
from places import kilometres

ZONE = "bench.example"
NAMES = 1000
SUBNETS = {4: 150, 6: 50}
# How much of an address resolvers send, and the least that a server may look at.
SOURCE = {4: 24, 6: 56}
LOOKED_AT = {4: 24, 6: 48}
CENTRES = {
    "fra": (50.11, 8.68),
    "iad": (39.04, -77.49),
    "sfo": (37.77, -122.42),
    "gru": (-23.55, -46.63),
    "jnb": (-26.20, 28.05),
    "sin": (1.29, 103.85),
    "nrt": (35.68, 139.65),
    "syd": (-33.87, 151.21),
}


def main():
    listed, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    networks = dict(network(line) for line in listed.read_text("utf-8").splitlines())
    names = [f"www.{ZONE}"] + [f"n{number:04}.{ZONE}" for number in range(NAMES)]
    regions = regions_of(networks)
    subnets = subnets_of(networks, chance)

    write(folder / "names", ([name] for name in names))
    write(folder / "centres.tsv", ([name, *place, *addresses(name)] for name, place in CENTRES.items()))
    write(folder / "regions.tsv", ([*region, centre] for region, centre in sorted(regions.items())))
    write(
        folder / "subnets.tsv",
        ([subnet, nearest(spot["place"]), regions[spot["continent"], spot["country"]]] for subnet, spot in subnets),
    )
    write_queries(folder / "one.queries", [query(names[0], "A")])
    asked = [(name, subnet) for name in names[1:] for subnet, _ in subnets]
    chance.shuffle(asked)
    write_queries(
        folder / "ecs.queries",
        (query(name, ("A", "AAAA")[number % 2], subnet) for number, (name, subnet) in enumerate(asked)),
    )


def network(line):
    net, latitude, longitude, continent, country, _city = line.split("\t")
    place = (float(latitude), float(longitude)) if latitude else None
    return ipaddress.ip_network(net), {"place": place, "continent": continent, "country": country}


def addresses(centre):
    number = list(CENTRES).index(centre) + 1
    return [f"192.0.2.{number}1", f"192.0.2.{number}2", f"2001:db8:{number}::1", f"2001:db8:{number}::2"]


def nearest(place):
    return min(CENTRES, key=lambda centre: kilometres(place, CENTRES[centre]))


def regions_of(networks):
    votes = {}
    for spot in networks.values():
        if spot["place"] and spot["country"]:
            for region in ((spot["continent"], spot["country"]), (spot["continent"], "*")):
                votes.setdefault(region, Counter())[nearest(spot["place"])] += 1
    regions = {region: counted.most_common(1)[0][0] for region, counted in votes.items()}
    return {**regions, ("*", "*"): next(iter(CENTRES))}


def subnets_of(networks, chance):
    """Subnets that the database puts at one place, however much of them is looked at, clearly nearest to one data centre."""
    chosen = []
    divided = {around for net in networks for around in (net.supernet(new_prefix=p) for p in range(net.prefixlen))}
    for version, count in SUBNETS.items():
        fits = [net for net in networks if net.version == version and net.prefixlen <= LOOKED_AT[version]]
        candidates = [net for net in fits if not net.is_loopback]
        found = {}
        while len(found) < count:
            around = chance.choice(candidates)
            start = int(around.network_address) + chance.randrange(around.num_addresses)
            subnet = ipaddress.ip_network((start, SOURCE[version]), strict=False)
            whole = subnet.supernet(new_prefix=LOOKED_AT[version])
            spot = networks[longest(networks, whole)]
            if whole not in divided and spot["place"] and spot["country"] and is_clear(spot["place"]):
                found[subnet] = spot
        chosen += found.items()
    return chosen


def longest(networks, subnet):
    around = (subnet.supernet(new_prefix=length) for length in range(subnet.prefixlen, 0, -1))
    return next(net for net in around if net in networks)


def is_clear(place):
    first, second, *_ = sorted(kilometres(place, centre) for centre in CENTRES.values())
    return first * 1.05 < second


def write(path, rows):
    path.write_text("".join("\t".join(str(field) for field in row) + "\n" for row in rows), "utf-8")


def write_queries(path, messages):
    path.write_bytes(b"".join(struct.pack("!H", len(message)) + message for message in messages))


main()

"""Makes the test data for all servers: names, data centres, regions, client subnets and query files, with the right answers.

    world.py LIST FOLDER SEED

LIST is the file that `verge-mmdb --list` wrote. Writes into FOLDER, with fields separated by tabs:

    names         one name per line; the first is that of the workload `one`
    centres.tsv   data centre, latitude, longitude, two IPv4 addresses, two IPv6 addresses
    regions.tsv   continent, country, data centre; `*` for any. For servers that do not use distances: each country and each
                  continent goes to the data centre that is nearest to most of its networks
    subnets.tsv   client subnet, data centre nearest to it, data centre of its country
    one.queries   workload `one`: the first name, A, no EDNS
    ecs.queries   workload `ecs`: each other name from each subnet, A or AAAA, with EDNS client subnet

A query file contains DNS messages, each after its length in two bytes: the format of `dnsperf -B`.
"""

import ipaddress
import random
import struct
import sys
from collections import Counter
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

from message import query

ZONE = "bench.example"
NAMES = 1000
SUBNETS = {4: 150, 6: 50}
# Prefix lengths: what resolvers send, and the shortest that a server may use of it.
SOURCE = {4: 24, 6: 56}
SHORTEST_USED = {4: 24, 6: 48}
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
    networks_file, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    networks = dict(parse_network(line) for line in networks_file.read_text("utf-8").splitlines())
    names = [f"www.{ZONE}"] + [f"n{number:04}.{ZONE}" for number in range(NAMES)]
    regions = make_regions(networks)
    subnets = choose_subnets(networks, rng)

    write(folder / "names", ([name] for name in names))
    write(folder / "centres.tsv", ([name, *location, *addresses(name)] for name, location in CENTRES.items()))
    write(folder / "regions.tsv", ([*region, centre] for region, centre in sorted(regions.items())))
    write(
        folder / "subnets.tsv",
        (
            [subnet, nearest(record["location"]), regions[record["continent"], record["country"]]]
            for subnet, record in subnets
        ),
    )
    write_queries(folder / "one.queries", [query(names[0], "A")])
    pairs = [(name, subnet) for name in names[1:] for subnet, _ in subnets]
    rng.shuffle(pairs)
    write_queries(
        folder / "ecs.queries",
        (query(name, ("A", "AAAA")[number % 2], subnet) for number, (name, subnet) in enumerate(pairs)),
    )


def parse_network(line):
    network, latitude, longitude, continent, country, _city = line.split("\t")
    location = (float(latitude), float(longitude)) if latitude else None
    return ipaddress.ip_network(network), {"location": location, "continent": continent, "country": country}


def addresses(centre):
    number = list(CENTRES).index(centre) + 1
    return [f"192.0.2.{number}1", f"192.0.2.{number}2", f"2001:db8:{number}::1", f"2001:db8:{number}::2"]


def kilometres(one, other):
    """The great-circle distance of two locations, by the haversine formula."""
    (latitude, longitude), (other_latitude, other_longitude) = one, other
    north, east = radians(other_latitude - latitude), radians(other_longitude - longitude)
    haversine = sin(north / 2) ** 2 + cos(radians(latitude)) * cos(radians(other_latitude)) * sin(east / 2) ** 2
    return 2 * 6371.0088 * asin(min(1, sqrt(haversine)))


def nearest(location):
    return min(CENTRES, key=lambda centre: kilometres(location, CENTRES[centre]))


def make_regions(networks):
    """The data centre of each country and continent, and of all others."""
    votes = {}
    for record in networks.values():
        if record["location"] and record["country"]:
            for region in ((record["continent"], record["country"]), (record["continent"], "*")):
                votes.setdefault(region, Counter())[nearest(record["location"])] += 1
    regions = {region: count.most_common(1)[0][0] for region, count in votes.items()}
    return {**regions, ("*", "*"): next(iter(CENTRES))}


def choose_subnets(networks, rng):
    """Subnets with one location in the database, whatever prefix length a server uses, and clearly nearest to one data centre."""
    chosen = []
    divided = {
        supernet for network in networks for supernet in (network.supernet(new_prefix=p) for p in range(network.prefixlen))
    }
    for version, count in SUBNETS.items():
        usable = [net for net in networks if net.version == version and net.prefixlen <= SHORTEST_USED[version]]
        candidates = [network for network in usable if not network.is_loopback]
        found = {}
        while len(found) < count:
            network = rng.choice(candidates)
            start = int(network.network_address) + rng.randrange(network.num_addresses)
            subnet = ipaddress.ip_network((start, SOURCE[version]), strict=False)
            used = subnet.supernet(new_prefix=SHORTEST_USED[version])
            record = networks[longest_match(networks, used)]
            if used not in divided and record["location"] and record["country"] and is_clear(record["location"]):
                found[subnet] = record
        chosen += found.items()
    return chosen


def longest_match(networks, subnet):
    supernets = (subnet.supernet(new_prefix=length) for length in range(subnet.prefixlen, 0, -1))
    return next(network for network in supernets if network in networks)


def is_clear(location):
    """Whether the second nearest data centre is at least 5% farther away than the nearest."""
    first, second, *_ = sorted(kilometres(location, centre) for centre in CENTRES.values())
    return first * 1.05 < second


def write(path, rows):
    path.write_text("".join("\t".join(str(field) for field in row) + "\n" for row in rows), "utf-8")


def write_queries(path, messages):
    path.write_bytes(b"".join(struct.pack("!H", len(message)) + message for message in messages))


main()

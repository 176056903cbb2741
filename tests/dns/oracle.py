"""Which edges are nearest, worked out without a line of Verge: see run."""

import argparse
import http.client
import ipaddress
import json
import math
import pathlib
import random
import socket
import subprocess
import tempfile

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import maxminddb

from node import Node

NAME = "demo.verge.test."
EARTH_KM = 6371.0088
ANSWERS = 2
# name, latitude, longitude, whether it has IPv6, what the operator forces
EDGES = [
    ("ams", 52.37, 4.90, True, "up"), ("fra", 50.11, 8.68, True, "up"), ("lon", 51.51, -0.13, True, "up"),
    ("mad", 40.42, -3.70, False, "up"), ("sto", 59.33, 18.07, True, "up"), ("waw", 52.23, 21.01, True, "down"),
    ("nyc", 40.71, -74.01, True, "up"), ("chi", 41.88, -87.63, True, "up"), ("dal", 32.78, -96.80, False, "up"),
    ("sjc", 37.34, -121.89, True, "up"), ("sea", 47.61, -122.33, True, "down"), ("mia", 25.76, -80.19, True, "up"),
    ("tor", 43.65, -79.38, False, "up"), ("mex", 19.43, -99.13, True, "up"), ("gru", -23.55, -46.63, True, "up"),
    ("scl", -33.45, -70.67, False, "up"), ("bog", 4.71, -74.07, True, "up"), ("jnb", -26.20, 28.05, True, "up"),
    ("los", 6.52, 3.38, True, "up"), ("nbo", -1.29, 36.82, False, "up"), ("cai", 30.04, 31.24, True, "up"),
    ("dxb", 25.20, 55.27, True, "up"), ("bom", 19.08, 72.88, True, "up"), ("sin", 1.29, 103.85, True, "up"),
    ("hkg", 22.32, 114.17, True, "down"), ("tyo", 35.68, 139.65, True, "up"), ("sel", 37.57, 126.98, True, "up"),
    ("syd", -33.87, 151.21, True, "up"), ("akl", -36.85, 174.76, False, "up"), ("hnl", 21.31, -157.86, True, "up"),
    ("nan", -18.14, 178.44, True, "up"), ("rkv", 64.15, -21.94, True, "up"),
]


def km(one, other):
    """Along the great circle."""
    (lat1, lon1), (lat2, lon2) = [[math.radians(degrees) for degrees in place] for place in (one, other)]
    across = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1, math.sqrt(across)))


def addresses(index):
    return f"198.18.0.{index + 1}", f"2001:2::{index + 1:x}"


def edges():
    """The same as rows of an origin's state."""
    for index, (name, latitude, longitude, ipv6, force) in enumerate(EDGES):
        v4, v6 = addresses(index)
        value = {"addresses": [v4] + [v6] * ipv6, "place": f"{latitude},{longitude}", "force": force}
        yield {"key": f"edge/{name}", "seq": index + 1, "value": value}


class Oracle:
    def __init__(self, database):
        self.reader = maxminddb.open_database(database, maxminddb.MODE_MEMORY)

    def place(self, address):
        """Where a client is, and how many bits of its address that holds for."""
        most = 24 if address.version == 4 else 48
        client = ipaddress.ip_network(f"{address}/{most}", strict=False).network_address
        record, length = self.reader.get_with_prefix_len(str(client))
        location = (record or {}).get("location", {})
        place = (location["latitude"], location["longitude"]) if "latitude" in location else None
        return record is not None, place, min(length, most)

    def nearest(self, place, ipv6):
        """All edges that may be named, by distance."""
        may = [(index, edge) for index, edge in enumerate(EDGES) if edge[4] == "up" and (edge[3] or not ipv6)]
        return sorted((km(place, edge[1:3]), addresses(index)[ipv6]) for index, edge in may)


def ask(address, ipv6, by_subnet):
    """Asks as, or for, a client at an address; returns the message."""
    kind = dns.rdatatype.AAAA if ipv6 else dns.rdatatype.A
    query = dns.message.make_query(NAME, kind, use_edns=0, payload=1232)
    server = ("2001:2::53", 53) if address.version == 6 else ("198.18.0.53", 53)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    if by_subnet:
        source = 24 if address.version == 4 else 48
        query.use_edns(0, payload=1232, options=[dns.edns.ECSOption(str(address), source)])
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        if not by_subnet:
            asking.bind((str(address), 0))
        asking.sendto(query.to_wire(), server)
        answer = dns.message.from_wire(asking.recv(4096))
    assert query.is_response(answer) and answer.rcode() == dns.rcode.NOERROR and answer.flags & dns.flags.AA
    return answer


def named(answer):
    return [record.address for record in answer.answer[0]] if answer.answer else []


def scope(answer):
    return next((option.scopelen for option in answer.options if isinstance(option, dns.edns.ECSOption)), None)


def random_address(chance, listed):
    """Half of them in networks that the database knows."""
    if chance.random() < 0.5:
        network = chance.choice(listed)
        offset = chance.getrandbits(network.max_prefixlen - network.prefixlen)
        return network.network_address + offset
    if chance.random() < 0.6:
        return ipaddress.IPv4Address(chance.getrandbits(32))
    return ipaddress.IPv6Address(0x2 << 124 | chance.getrandbits(124))


def usable(address):
    """Neither private nor of a kind that nobody asks from; those have tests of their own."""
    return not (
        address.is_private or address.is_multicast or address.is_reserved or address.is_unspecified
        or address.is_loopback or address.is_link_local or not address.is_global
        or (address.version == 6 and (address.ipv4_mapped or address.sixtofour or address.teredo))
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--geodns", required=True)
    parser.add_argument("--mmdb", required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layout", default="maxmind")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    seen = dict.fromkeys(["subnet", "resolver", "IPv4", "IPv6", "placed", "unplaced", "unknown"], 0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        database, listing = folder / "world.mmdb", folder / "world.tsv"
        subprocess.run(
            [arguments.mmdb, "--seed", str(arguments.seed), "--out", database, "--list", listing], check=True
        )
        lines = listing.read_text().splitlines()
        listed = [ipaddress.ip_network(line.split("\t")[0]) for line in lines]
        oracle = Oracle(database)
        with Node(arguments.geodns, folder, edges(), database=database):
            explain = http.client.HTTPConnection("127.0.0.1", 7601)
            asked = 0
            while asked < arguments.count:
                address = random_address(chance, listed)
                if not usable(address):
                    continue
                by_subnet, ipv6 = chance.random() < 0.5, chance.random() < 0.5
                answer = ask(address, ipv6, by_subnet)
                known, place, length = oracle.place(address)
                context = f"{address} {'AAAA' if ipv6 else 'A'} {'subnet' if by_subnet else 'resolver'}: {named(answer)}"
                assert len(named(answer)) == ANSWERS, context
                if by_subnet:
                    # What no record covers is known by its /24 or /48 alone.
                    most = 24 if address.version == 4 else 48
                    assert scope(answer) == (length if known else most), f"{context} scope {scope(answer)}, not {length}"
                else:
                    assert scope(answer) is None, context
                if place:
                    order = oracle.nearest(place, ipv6)
                    gaps = [after[0] - before[0] for before, after in zip(order, order[1:])][:ANSWERS]
                    if min(gaps) > 0.001:
                        assert named(answer) == [edge for _, edge in order[:ANSWERS]], f"{context} oracle {order[:3]}"
                explain.request("GET", f"/explain?address={address}&name={NAME}")
                told = json.load(explain.getresponse())["aaaa" if ipv6 else "a"]
                told = [edge["address"] for edge in told["edges"] if edge["address"]]
                assert [ipaddress.ip_address(edge) for edge in told] == [
                    ipaddress.ip_address(edge) for edge in named(answer)
                ], f"{context} explain {told}"
                asked += 1
                seen["subnet" if by_subnet else "resolver"] += 1
                seen[f"IPv{address.version}"] += 1
                seen["placed" if place else "unplaced" if known else "unknown"] += 1
    assert min(seen.values()) > 0, seen
    print(f"{asked} addresses: wire, explain and oracle agree ({seen})")


if __name__ == "__main__":
    main()

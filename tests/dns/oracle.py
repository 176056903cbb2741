"""Compares answers with the nearest edges, computed independently of Verge's code. Usage: see the script `run`."""

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

from name_server import NameServer

NAME = "demo.verge.test."
EARTH_KM = 6371.0088
ANSWERS = 2
# name, latitude, longitude, whether it has an IPv6 address, the state that the operator forces
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


def kilometres(one, other):
    """The great-circle distance of two locations, by the haversine formula."""
    (lat1, lon1), (lat2, lon2) = [[math.radians(degrees) for degrees in location] for location in (one, other)]
    haversine = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1, math.sqrt(haversine)))


def addresses(index):
    return f"198.18.0.{index + 1}", f"2001:2::{index + 1:x}"


def edges():
    """EDGES as rows of the change feed."""
    for index, (name, latitude, longitude, ipv6, force) in enumerate(EDGES):
        v4, v6 = addresses(index)
        value = {"addresses": [v4] + [v6] * ipv6, "location": f"{latitude},{longitude}", "force": force}
        yield {"key": f"edge/{name}", "seq": index + 1, "value": value}


class Oracle:
    def __init__(self, database):
        self.reader = maxminddb.open_database(database, maxminddb.MODE_MEMORY)

    def locate(self, address):
        """Whether the database has a record for a client, its location or None, and the prefix length for which both are valid."""
        longest = longest_prefix(address)
        client = ipaddress.ip_network(f"{address}/{longest}", strict=False).network_address
        record, length = self.reader.get_with_prefix_len(str(client))
        fields = (record or {}).get("location", {})
        location = (fields["latitude"], fields["longitude"]) if "latitude" in fields else None
        return record is not None, location, min(length, longest)

    def nearest(self, location, ipv6):
        """The distances and addresses of all edges that an answer may name, the nearest first."""
        eligible = [(index, edge) for index, edge in enumerate(EDGES) if edge[4] == "up" and (edge[3] or not ipv6)]
        return sorted((kilometres(location, edge[1:3]), addresses(index)[ipv6]) for index, edge in eligible)


def longest_prefix(address):
    """The length of the client subnets in this test, and the longest scope of an answer."""
    return 24 if address.version == 4 else 48


def send_query(address, ipv6, by_subnet):
    """Sends a query from `address`, or with its client subnet. Returns the response."""
    kind = dns.rdatatype.AAAA if ipv6 else dns.rdatatype.A
    query = dns.message.make_query(NAME, kind, use_edns=0, payload=1232)
    server = ("2001:2::53", 53) if address.version == 6 else ("198.18.0.53", 53)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    if by_subnet:
        query.use_edns(0, payload=1232, options=[dns.edns.ECSOption(str(address), longest_prefix(address))])
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        if not by_subnet:
            udp.bind((str(address), 0))
        udp.sendto(query.to_wire(), server)
        response = dns.message.from_wire(udp.recv(4096))
    assert query.is_response(response) and response.rcode() == dns.rcode.NOERROR and response.flags & dns.flags.AA
    return response


def answer_of(response):
    return [record.address for record in response.answer[0]] if response.answer else []


def scope_of(response):
    return next((option.scopelen for option in response.options if isinstance(option, dns.edns.ECSOption)), None)


def random_address(rng, networks):
    """Half of the addresses are in networks of the database."""
    if rng.random() < 0.5:
        network = rng.choice(networks)
        offset = rng.getrandbits(network.max_prefixlen - network.prefixlen)
        return network.network_address + offset
    if rng.random() < 0.6:
        return ipaddress.IPv4Address(rng.getrandbits(32))
    return ipaddress.IPv6Address(0x2 << 124 | rng.getrandbits(124))


def is_public(address):
    """Private and special-purpose addresses have their own tests."""
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
    rng = random.Random(arguments.seed)
    counts = dict.fromkeys(["subnet", "resolver", "IPv4", "IPv6", "located", "not located", "not in database"], 0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        database, listing = folder / "world.mmdb", folder / "world.tsv"
        subprocess.run(
            [arguments.mmdb, "--seed", str(arguments.seed), "--out", database, "--list", listing], check=True
        )
        lines = listing.read_text().splitlines()
        networks = [ipaddress.ip_network(line.split("\t")[0]) for line in lines]
        oracle = Oracle(database)
        with NameServer(arguments.geodns, folder, edges(), database=database):
            private_listener = http.client.HTTPConnection("127.0.0.1", 7601)
            checked = 0
            while checked < arguments.count:
                address = random_address(rng, networks)
                if not is_public(address):
                    continue
                by_subnet, ipv6 = rng.random() < 0.5, rng.random() < 0.5
                response = send_query(address, ipv6, by_subnet)
                answer = answer_of(response)
                known, location, length = oracle.locate(address)
                context = f"{address} {'AAAA' if ipv6 else 'A'} {'subnet' if by_subnet else 'resolver'}: {answer}"
                assert len(answer) == ANSWERS, context
                scope = scope_of(response)
                if by_subnet:
                    # An answer to a client outside the database is valid for its /24 or /48.
                    expected = length if known else longest_prefix(address)
                    assert scope == expected, f"{context}: scope {scope}, expected {expected}"
                else:
                    assert scope is None, context
                if location:
                    order = oracle.nearest(location, ipv6)
                    gaps = [after[0] - before[0] for before, after in zip(order, order[1:])][:ANSWERS]
                    if min(gaps) > 0.001:
                        assert answer == [edge for _, edge in order[:ANSWERS]], f"{context}, oracle: {order[:3]}"
                private_listener.request("GET", f"/explain?address={address}&name={NAME}")
                explanation = json.load(private_listener.getresponse())["aaaa" if ipv6 else "a"]
                explained = [edge["address"] for edge in explanation["edges"] if edge["address"]]
                assert [ipaddress.ip_address(edge) for edge in explained] == [
                    ipaddress.ip_address(edge) for edge in answer
                ], f"{context}, /explain: {explained}"
                checked += 1
                counts["subnet" if by_subnet else "resolver"] += 1
                counts[f"IPv{address.version}"] += 1
                counts["located" if location else "not located" if known else "not in database"] += 1
    assert min(counts.values()) > 0, counts
    print(f"{checked} addresses: DNS answers, /explain and the oracle agree ({counts})")


if __name__ == "__main__":
    main()

"""Writes address queries and reads their responses (RFC 1035, 6891, 7871)."""

import ipaddress
import struct

TYPES = {"A": 1, "AAAA": 28}
OPT, CLIENT_SUBNET, IN = 41, 8, 1
UDP_SIZE = 1232


def query(name, kind, subnet=None):
    """The bytes of a query from a resolver to a name server: without recursion, and with EDNS only if there is a subnet."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0" + struct.pack("!HH", TYPES[kind], IN)
    header = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0 if subnet is None else 1)
    return header + question + (b"" if subnet is None else edns(subnet))


def edns(subnet):
    prefix = subnet.network_address.packed[: (subnet.prefixlen + 7) // 8]
    option = struct.pack("!HBB", {4: 1, 6: 2}[subnet.version], subnet.prefixlen, 0) + prefix
    options = struct.pack("!HH", CLIENT_SUBNET, len(option)) + option
    return b"\0" + struct.pack("!HHIH", OPT, UDP_SIZE, 0, len(options)) + options


class Answer:
    """A response: `rcode`, `authoritative`, `truncated`, `addresses`, their `ttls`, and the client `subnet` with its `scope`."""

    def __init__(self, message):
        _id, flags, questions, answers, authorities, others = struct.unpack_from("!HHHHHH", message)
        self.rcode, self.authoritative, self.truncated = flags & 15, bool(flags & 0x400), bool(flags & 0x200)
        self.addresses, self.ttls, self.subnet, self.scope = set(), set(), None, None
        at = 12
        for _ in range(questions):
            at = skip_name(message, at) + 4
        for number in range(answers + authorities + others):
            at = skip_name(message, at)
            kind, _class, ttl, length = struct.unpack_from("!HHIH", message, at)
            data, at = message[at + 10 : at + 10 + length], at + 10 + length
            if kind in TYPES.values() and number < answers:
                self.addresses.add(str(ipaddress.ip_address(data)))
                self.ttls.add(ttl)
            elif kind == OPT:
                self.read_options(data)

    def read_options(self, data):
        while data:
            code, length = struct.unpack_from("!HH", data)
            option, data = data[4 : 4 + length], data[4 + length :]
            if code == CLIENT_SUBNET:
                family, source, self.scope = struct.unpack_from("!HBB", option)
                packed = option[4:].ljust({1: 4, 2: 16}[family], b"\0")
                self.subnet = ipaddress.ip_network((packed, source), strict=False)


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += message[at] + 1
    return at + 1

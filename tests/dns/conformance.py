"""What resolvers rely on, asked with tools that others wrote: see run."""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile

from node import Node

SERVER = "198.18.0.53"
EDGES = [
    {"key": "edge/fra", "seq": 1, "value": {"addresses": ["198.18.0.1", "2001:2::1"], "place": "50.11,8.68", "force": "up"}},
    {"key": "edge/nyc", "seq": 2, "value": {"addresses": ["198.18.0.2", "2001:2::2"], "place": "40.71,-74.01", "force": "up"}},
]
ZONE = """\
@ MX 10 mail
@ TXT "v=spf1 -all"
@ CAA 0 issue "ca.example"
mail A 198.18.0.25
*.wild A 198.18.0.26
www CNAME demo
"""


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, []

    def check(self, name, output, *, has=(), lacks=()):
        """Regular expressions that must, and must not, be found."""
        wrong = [f"lacks {pattern!r}" for pattern in has if not re.search(pattern, output, re.M)]
        wrong += [f"has {pattern!r}" for pattern in lacks if re.search(pattern, output, re.M)]
        if wrong:
            self.failed.append(f"{name}: {', '.join(wrong)}\n{output}")
        else:
            self.passed += 1


NOERROR, SOA, AA = r"status: NOERROR", r"^verge\.test\.\s+\d+\s+IN\s+SOA", r"[Ff]lags:[^;]*\baa\b"
OPT, NO_RECORDS = r"EDNS: version: 0", r"ANSWER: 0"
QUIET = (r"flags:[^;]*\bra\b", r"flags:[^;]*\bad\b", r"MBZ")


def rfc8906(checks, transport):
    """The queries of RFC 8906 §8, each with what it expects."""

    def ask(name, options, zone="soa verge.test", has=(), lacks=()):
        output = run("dig", *options.split(), *transport, *zone.split(), f"@{SERVER}").stdout
        checks.check(f"RFC 8906 {name} {' '.join(transport)}", output, has=has, lacks=(*QUIET, *lacks))

    plain, edns = "+noedns +noad +norec", "+nocookie +edns=0 +noad +norec"
    ask("8.1.1 is the server configured for the zone", plain, has=(NOERROR, SOA, AA), lacks=(r"\brd\b", OPT))
    for kind in "A AAAA NS MX TXT CNAME PTR SRV NAPTR CAA TLSA SSHFP DS DNSKEY NSEC HTTPS SVCB LOC URI SPF".split():
        ask(f"8.1.2 known type {kind}", plain, f"{kind} verge.test", has=(NOERROR, AA))
    ask("8.1.3 unknown types", plain, "TYPE1000 verge.test", has=(NOERROR, AA, NO_RECORDS))
    ask("8.1.3.1 CD=1", f"{plain} +cd", has=(NOERROR, SOA, AA))
    ask("8.1.3.2 AD=1", "+noedns +norec +ad", has=(NOERROR, SOA, AA))
    ask("8.1.3.3 Z=1", f"{plain} +zflag", has=(NOERROR, SOA, AA))
    ask("8.1.3.4 RD=1", "+noedns +noad +rec", has=(NOERROR, SOA, AA, r"flags:[^;]*\brd\b"))
    ask("8.1.4 unknown opcodes", f"{plain} +opcode=15 +header-only", "", has=(r"status: NOTIMP", r"opcode: (RESERVED)?15"), lacks=(AA, SOA))
    ask("8.2.1 EDNS", edns, has=(NOERROR, SOA, AA, OPT))
    badvers = (r"status: BADVERS", OPT)
    ask("8.2.2 EDNS version 1", "+nocookie +edns=1 +noednsneg +noad +norec", has=badvers, lacks=(SOA,))
    ask("8.2.3 unknown options", f"{edns} +ednsopt=100", has=(NOERROR, SOA, AA, OPT), lacks=("OPT=100",))
    ask("8.2.4 unknown flags", f"{edns} +ednsflags=0x40", has=(NOERROR, SOA, AA, OPT))
    ask("8.2.5 version 1 with unknown flags", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40", has=badvers, lacks=(SOA,))
    ask("8.2.6 version 1 with unknown options", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100", has=badvers, lacks=(SOA, "OPT=100"))
    ask("8.2.7 truncated responses", "+norec +dnssec +bufsize=512 +ignore", "dnskey verge.test", has=(NOERROR, OPT))
    ask("8.2.8 DO=1", f"{edns} +dnssec", has=(NOERROR, SOA, AA, OPT, r"flags: do"))
    ask("8.2.9 version 1 with DO=1", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec", has=badvers, lacks=(SOA,))
    several = "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0"
    ask("8.2.10 several defined options", several, has=(NOERROR, SOA, AA, OPT, r"CLIENT-SUBNET: 0\.0\.0\.0/0/0"), lacks=("COOKIE:",))


def others(checks, folder):
    """What other tools make of it."""
    for kind in "A", "AAAA":
        output = run("kdig", f"@{SERVER}", "demo.verge.test", kind, "+subnet=198.51.100.0/24", "+nsid").stdout
        checks.check(f"kdig {kind}", output, has=(NOERROR, AA, rf"IN\s+{kind}\s", r"CLIENT-SUBNET.*198\.51\.100\.0/24/24"), lacks=("WARNING", r"\bERROR\b"))
    output = run("kdig", f"@{SERVER}", "+tcp", "+keepopen", "demo.verge.test", "www.verge.test", "no.verge.test", "x.wild.verge.test").stdout
    checks.check("kdig, four questions on one connection", output, has=(r"demo\.verge\.test.*198\.18", r"www.*CNAME", "NXDOMAIN", r"x\.wild.*198\.18\.0\.26"), lacks=("WARNING", r"\bERROR\b"))
    output = run("drill", "-a", "-o", "rd", "demo.verge.test", f"@{SERVER}", "A").stdout
    checks.check("drill (ldns)", output, has=(r"rcode: NOERROR", r"\baa\b", r"198\.18\.0\."), lacks=("WARNING",))
    checks.check("drill, IPv6", run("drill", "-6", "verge.test", "@2001:2::53", "SOA").stdout, has=(r"rcode: NOERROR", r"SOA"))
    checks.check("dig, transfer refused", run("dig", f"@{SERVER}", "verge.test", "AXFR").stdout, has=("Transfer failed|REFUSED",))
    probe = str(folder / "probe.json")
    servers = f"verge.test+:ns-1.verge.test={SERVER},ns-1.verge.test=[2001:2::53]"
    run("dnsviz", "probe", "-A", "-x", servers, "-o", probe, "verge.test")
    seen = run("dnsviz", "grok", "-r", probe)
    checks.check("dnsviz saw the zone", seen.stdout, has=(r'"verge\.test\./IN/SOA"', r'"verge\.test\./IN/MX"', r"ns-1\.verge\.test"))
    remarks = run("dnsviz", "grok", "-l", "warning", "-r", probe)
    checks.check("dnsviz has nothing to remark", remarks.stdout + remarks.stderr, lacks=(r"\S",))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--geodns", required=True)
    arguments = parser.parse_args()
    # dig tells its own mind in ~/.digrc.
    os.environ["HOME"] = "/nonexistent"
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with Node(arguments.geodns, folder, EDGES, zone=ZONE):
            for transport in [], ["+tcp"]:
                rfc8906(checks, transport)
            others(checks, folder)
    for failure in checks.failed:
        print(f"FAIL {failure}")
    print(f"{checks.passed} of {checks.passed + len(checks.failed)} checks by dig, kdig, drill and dnsviz passed")
    raise SystemExit(bool(checks.failed))


if __name__ == "__main__":
    main()

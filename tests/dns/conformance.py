"""Checks what resolvers rely on, with third-party tools. Usage: see the script `run`."""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile

from name_server import NameServer

SERVER = "198.18.0.53"
EDGES = [
    {"key": "edge/fra", "seq": 1, "value": {"addresses": ["198.18.0.1", "2001:2::1"], "location": "50.11,8.68", "force": "up"}},
    {"key": "edge/nyc", "seq": 2, "value": {"addresses": ["198.18.0.2", "2001:2::2"], "location": "40.71,-74.01", "force": "up"}},
]
ZONE = """\
@ MX 10 mail
@ TXT "v=spf1 -all"
@ CAA 0 issue "ca.example"
mail A 198.18.0.25
*.wild A 198.18.0.26
www CNAME demo
"""


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, []

    def check(self, name, output, *, has=(), lacks=()):
        """`has` and `lacks` are regular expressions that must and must not match the output."""
        errors = [f"no match of {pattern!r}" for pattern in has if not re.search(pattern, output, re.M)]
        errors += [f"unexpected match of {pattern!r}" for pattern in lacks if re.search(pattern, output, re.M)]
        if errors:
            self.failed.append(f"{name}: {', '.join(errors)}\n{output}")
        else:
            self.passed += 1


NOERROR, SOA, AA = r"status: NOERROR", r"^verge\.test\.\s+\d+\s+IN\s+SOA", r"[Ff]lags:[^;]*\baa\b"
OPT, NO_RECORDS = r"EDNS: version: 0", r"ANSWER: 0"
NEVER = (r"flags:[^;]*\bra\b", r"flags:[^;]*\bad\b", r"MBZ")


def rfc8906(checks, transport):
    """The queries of RFC 8906, section 8, with the expected responses."""

    def query(name, options, zone="soa verge.test", has=(), lacks=()):
        output = run("dig", *options.split(), *transport, *zone.split(), f"@{SERVER}").stdout
        checks.check(f"RFC 8906 {name} {' '.join(transport)}", output, has=has, lacks=(*NEVER, *lacks))

    plain, edns = "+noedns +noad +norec", "+nocookie +edns=0 +noad +norec"
    query("8.1.1 is the server configured for the zone", plain, has=(NOERROR, SOA, AA), lacks=(r"\brd\b", OPT))
    for kind in "A AAAA NS MX TXT CNAME PTR SRV NAPTR CAA TLSA SSHFP DS DNSKEY NSEC HTTPS SVCB LOC URI SPF".split():
        query(f"8.1.2 known type {kind}", plain, f"{kind} verge.test", has=(NOERROR, AA))
    query("8.1.3 unknown types", plain, "TYPE1000 verge.test", has=(NOERROR, AA, NO_RECORDS))
    query("8.1.3.1 CD=1", f"{plain} +cd", has=(NOERROR, SOA, AA))
    query("8.1.3.2 AD=1", "+noedns +norec +ad", has=(NOERROR, SOA, AA))
    query("8.1.3.3 Z=1", f"{plain} +zflag", has=(NOERROR, SOA, AA))
    query("8.1.3.4 RD=1", "+noedns +noad +rec", has=(NOERROR, SOA, AA, r"flags:[^;]*\brd\b"))
    query("8.1.4 unknown opcodes", f"{plain} +opcode=15 +header-only", "", has=(r"status: NOTIMP", r"opcode: (RESERVED)?15"), lacks=(AA, SOA))
    query("8.2.1 EDNS", edns, has=(NOERROR, SOA, AA, OPT))
    badvers = (r"status: BADVERS", OPT)
    query("8.2.2 EDNS version 1", "+nocookie +edns=1 +noednsneg +noad +norec", has=badvers, lacks=(SOA,))
    query("8.2.3 unknown options", f"{edns} +ednsopt=100", has=(NOERROR, SOA, AA, OPT), lacks=("OPT=100",))
    query("8.2.4 unknown flags", f"{edns} +ednsflags=0x40", has=(NOERROR, SOA, AA, OPT))
    query("8.2.5 version 1 with unknown flags", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40", has=badvers, lacks=(SOA,))
    query("8.2.6 version 1 with unknown options", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100", has=badvers, lacks=(SOA, "OPT=100"))
    query("8.2.7 truncated responses", "+norec +dnssec +bufsize=512 +ignore", "dnskey verge.test", has=(NOERROR, OPT))
    query("8.2.8 DO=1", f"{edns} +dnssec", has=(NOERROR, SOA, AA, OPT, r"flags: do"))
    query("8.2.9 version 1 with DO=1", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec", has=badvers, lacks=(SOA,))
    several = "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0"
    query("8.2.10 several defined options", several, has=(NOERROR, SOA, AA, OPT, r"CLIENT-SUBNET: 0\.0\.0\.0/0/0"), lacks=("COOKIE:",))


def other_tools(checks, folder):
    """Queries with kdig, drill and dnsviz."""
    for kind in "A", "AAAA":
        output = run("kdig", f"@{SERVER}", "demo.verge.test", kind, "+subnet=198.51.100.0/24", "+nsid").stdout
        checks.check(f"kdig: {kind}", output, has=(NOERROR, AA, rf"IN\s+{kind}\s", r"CLIENT-SUBNET.*198\.51\.100\.0/24/24"), lacks=("WARNING", r"\bERROR\b"))
    output = run("kdig", f"@{SERVER}", "+tcp", "+keepopen", "demo.verge.test", "www.verge.test", "no.verge.test", "x.wild.verge.test").stdout
    checks.check("kdig: four queries over one connection", output, has=(r"demo\.verge\.test.*198\.18", r"www.*CNAME", "NXDOMAIN", r"x\.wild.*198\.18\.0\.26"), lacks=("WARNING", r"\bERROR\b"))
    output = run("drill", "-a", "-o", "rd", "demo.verge.test", f"@{SERVER}", "A").stdout
    checks.check("drill: IPv4", output, has=(r"rcode: NOERROR", r"\baa\b", r"198\.18\.0\."), lacks=("WARNING",))
    checks.check("drill: IPv6", run("drill", "-6", "verge.test", "@2001:2::53", "SOA").stdout, has=(r"rcode: NOERROR", r"SOA"))
    checks.check("dig: zone transfer is refused", run("dig", f"@{SERVER}", "verge.test", "AXFR").stdout, has=("Transfer failed|REFUSED",))
    probe = str(folder / "probe.json")
    servers = f"verge.test+:ns-1.verge.test={SERVER},ns-1.verge.test=[2001:2::53]"
    run("dnsviz", "probe", "-A", "-x", servers, "-o", probe, "verge.test")
    grok = run("dnsviz", "grok", "-r", probe)
    checks.check("dnsviz: zone is recognized", grok.stdout, has=(r'"verge\.test\./IN/SOA"', r'"verge\.test\./IN/MX"', r"ns-1\.verge\.test"))
    warnings = run("dnsviz", "grok", "-l", "warning", "-r", probe)
    checks.check("dnsviz: no warnings", warnings.stdout + warnings.stderr, lacks=(r"\S",))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--geodns", required=True)
    arguments = parser.parse_args()
    # Without a home directory, dig does not read ~/.digrc.
    os.environ["HOME"] = "/nonexistent"
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with NameServer(arguments.geodns, folder, EDGES, zone=ZONE):
            for transport in [], ["+tcp"]:
                rfc8906(checks, transport)
            other_tools(checks, folder)
    for failure in checks.failed:
        print(f"FAIL {failure}")
    print(f"{checks.passed} of {checks.passed + len(checks.failed)} checks with dig, kdig, drill and dnsviz passed")
    raise SystemExit(bool(checks.failed))


if __name__ == "__main__":
    main()

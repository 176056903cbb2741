"""A fleet that serves HTTPS: an authority, an origin, a name server and edges as processes, with two sites and a domain."""

import json
import os
import subprocess

from authority import Authority
from clock import Clock
from daemons import Daemon, text, until

BASE = "sites.verge.test"
DOMAIN = "www.example.test"
# Site to its text; and what each host shows.
SITES = {"one": "the first site", "two": "the second site"}
HOSTS = {f"one.{BASE}": SITES["one"], f"two.{BASE}": SITES["two"], DOMAIN: SITES["two"]}

# The origin queries name servers at port 53, and browsers expect HTTPS at port 443. In a network of the test's own both are free.
NAME_SERVER = "127.0.0.53"
EDGES = {"fra-1": ("127.0.0.11", "Frankfurt"), "nyc-1": ("127.0.0.12", "New York"), "sin-1": ("127.0.0.13", "Singapore")}
# The API of the origin, with a certificate for its name.
API, API_TLS = f"origin.{BASE}", ("127.0.0.1", 7443)

# A zone for the sites, and one for all other names that are looked up.
ZONES = {BASE: True, "test": False}
ZONE = f"""\
$TTL 1
@ SOA ns-1.{BASE}. hostmaster.{BASE}. 1 7200 900 1209600 1
@ NS  ns-1.{BASE}.
ns-1.{BASE}. A {NAME_SERVER}
{API}. A {API_TLS[0]}
"""

# The page says in its text by which protocol it was loaded.
PAGE = """<!doctype html>
<title>{text}</title>
<p></p>
<script>
document.querySelector('p').textContent = 'loaded by ' + performance.getEntriesByType('navigation')[0].nextHopProtocol
</script>
"""


class Host:
    """A loopback address (see Daemon)."""

    def __init__(self, address):
        self.address, self.enter = address, []


class Fleet:
    def __init__(self, folder, binaries):
        self.folder, self.binaries = folder, binaries
        self.authority = Authority(folder, f"{NAME_SERVER}:53")
        settings = {"sites_url": f"https://{BASE}", "tls_listen": text(API_TLS), "resolver": f"{NAME_SERVER}:53"}
        self.origin = Daemon(binaries / "verge-origin", folder, "origin", [7400, 7500], settings)
        self.url = "http://127.0.0.1:7400"
        self.edges, self.processes = [], [self.authority]
        self.edge_clock = Clock(folder / "edges.time")

    @property
    def root(self):
        """The file with the authority's root certificate."""
        return self.authority.root

    def start(self):
        """Returns when every edge presents a certificate for each host."""
        self.authority.start()
        self.run_daemon(self.origin)
        token = (self.origin.data / "admin-token").read_text().strip()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "VERGE_ORIGIN": self.url, "VERGE_TOKEN": token}
        self.start_name_server()
        self.turn_on()
        for number, (name, (address, city)) in enumerate(EDGES.items()):
            self.start_edge(name, address, city, 7501 + number)
        for site, shown in SITES.items():
            (self.folder / site).mkdir()
            (self.folder / site / "index.html").write_text(PAGE.format(text=shown))
            self.verge("push", self.folder / site, "--site", site)
        self.prove_domain()
        until("every edge presents all certificates", lambda: self.has_certificates(2))

    def run_daemon(self, daemon):
        self.processes.append(daemon)
        daemon.start()
        daemon.wait_until_up()

    def start_name_server(self):
        for zone in ZONES:
            self.write_zone(zone, ZONE)
        settings = {"name": "ns-1", "token": self.verge("dns", "token", "ns-1").strip(), "origins": [self.url]}
        name_server = Daemon(self.binaries / "verge-geodns", self.folder, "ns-1", [53, 7601], settings, Host(NAME_SERVER))
        with open(self.folder / "ns-1.toml", "a") as file:
            file.write(f"[answers]\ncount = {len(EDGES)}\n")
            for zone, has_sites in ZONES.items():
                file.write(f'[[zones]]\nname = "{zone}"\nfile = "{self.folder}/{zone}.zone"\nsites = {json.dumps(has_sites)}\n')
        self.run_daemon(name_server)

    def turn_on(self):
        """Configures the authority, now that there is a name server to answer its queries."""
        with open(self.folder / "origin.toml", "a") as file:
            file.write(f'api_name = "{API}"\n[acme]\ndirectory = "{self.authority.directory}"\nca_file = "{self.authority.certificate}"\n')
        self.origin.terminate()
        self.origin.start()
        self.origin.wait_until_up()

    def write_zone(self, name, text):
        new = self.folder / "zone.new"
        new.write_text(text)
        new.rename(self.folder / f"{name}.zone")

    def start_edge(self, name, address, city, private_port):
        self.verge("edges", "add", name, "--at", city, "--address", address, "--no-join-code")
        token = self.verge("edges", "token", name).strip()
        settings = {"name": name, "token": token, "origins": [self.url], "base_domain": BASE, "tls_listen": f"{address}:443"}
        edge = Daemon(self.binaries / "verge-edge", self.folder, name, [80, private_port], settings, Host(address), self.edge_clock.environment)
        self.edges.append(edge)
        self.run_daemon(edge)

    def prove_domain(self):
        """Creates the records that `verge domains add` asks for: the proof, and the delegation of its challenges."""
        claimed = json.loads(self.verge("domains", "add", DOMAIN, "--site", "two", "--json"))
        proof, delegation = claimed["proof"], claimed["delegation"]
        self.records = f"""
{proof["name"]}. TXT "{proof["value"]}"
{delegation["name"]}. CNAME {delegation["target"]}.
{DOMAIN}. CNAME two.{BASE}.
"""
        self.write_records()
        self.wait_for_proof(DOMAIN)

    def write_records(self, *records):
        """Writes the zone of other names: the records of `DOMAIN`, and these."""
        self.write_zone("test", "".join([ZONE, self.records, *records]))

    def wait_for_proof(self, domain):
        until(f"{domain} is proven", lambda: json.loads(self.verge("domains", "check", domain, "--json", accept=[0, 8]))["proven"])

    def has_certificates(self, number):
        certificates = json.loads(self.verge("certs", "--json"))
        on_edges = [listed["edges"]["presenting"] for listed in certificates if not listed["is_api"]]
        return on_edges == [len(EDGES)] * number

    def verge(self, *arguments, accept=(0,)):
        """Runs a command. Returns what it printed."""
        done = subprocess.run([self.binaries / "verge", *arguments], capture_output=True, text=True, env=self.environment)
        if done.returncode not in accept:
            raise SystemExit(f"verge {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def close(self):
        for process in reversed(self.processes):
            process.kill()

    def logs(self):
        """The end of each log."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files)

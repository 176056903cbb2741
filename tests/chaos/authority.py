"""Pebble, the certificate authority for tests."""

import json
import os
import ssl
import subprocess
import urllib.request

from daemons import free_ports, until

# An end entity: clients reject a CA that presents itself.
EXTENSIONS = """
    [req]
    distinguished_name = name
    x509_extensions = server
    [name]
    [server]
    subjectAltName = IP:127.0.0.1
    basicConstraints = critical, CA:FALSE
"""


class Authority:
    """Validates each name for each order, by DNS-01, and by HTTP-01 if there is a port. Queries `name_server`, host:port."""

    def __init__(self, folder, name_server, http_port=1):
        self.folder, self.log = folder, folder / "pebble.log"
        self.port, self.management = free_ports(2)
        self.certificate, self.root, key = folder / "pebble.pem", folder / "root.pem", folder / "pebble.key"
        (folder / "pebble.cnf").write_text(EXTENSIONS)
        options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2", "-subj", "/CN=pebble"]
        command = ["openssl", "req", "-x509", *options, "-config", folder / "pebble.cnf", "-keyout", key, "-out", self.certificate]
        subprocess.run(command, check=True, capture_output=True)
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.certificate),
            "privateKey": str(key),
            "httpPort": http_port,
            "tlsPort": 1,
            "certificateValidityPeriod": 90 * 86400,
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self.command = ["pebble", "-config", folder / "pebble.json", "-dnsserver", name_server]
        self.directory, self.process = f"https://127.0.0.1:{self.port}/dir", None

    def start(self):
        """Returns when its root certificate is in the file `root`."""
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment)
        until("pebble answers", self.save_root)

    def save_root(self):
        context = ssl.create_default_context(cafile=self.certificate)
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/roots/0", context=context) as answer:
                self.root.write_bytes(answer.read())
                return True
        except OSError:
            return False

    def issued(self):
        """How many certificates it has issued."""
        return self.log.read_text().count("Issued certificate serial")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

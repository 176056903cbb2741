"""What testssl finds wrong with a server."""

import json
import subprocess

# Protocols, cipher preference, server defaults, HTTP headers and vulnerabilities.
TESTS = ["--protocols", "--server-preference", "--server-defaults", "--headers", "--vulnerable", "--fast"]
# A part of what each run must find, so that one that ends early is noticed.
EXPECTED = ["TLS1_2", "TLS1_3", "cipher_order", "cert_chain_of_trust", "HTTP_status_code", "heartbleed", "ROBOT", "LUCKY13"]
GOOD = ["OK", "INFO", "LOW"]
# In seconds. It takes a quarter of that.
TIMEOUT = 180

# Tests that testssl cannot always do: id to the reason.
UNTESTED = {
    "engine_problem": "this openssl has no engine for GOST, which no server of Verge offers",
    "RC4": "this openssl has no RC4, as the servers have none: neither offers it",
    "secure_renego": "this openssl may fail in the test's own handshake; secure_client_renego tests that clients cannot renegotiate",
    "sessionresumption_ticket": "testssl may close a connection of TLS 1.3 before the ticket arrives; sessions.py waits for it",
    "sessionresumption_ID": "the same",
}
# Findings that say nothing about Verge: id to the reason.
EDGE = {
    "cert_revocation": "certificates of the test authority name neither an OCSP responder nor a CRL",
    "BREACH": "readers' secrets are in no page: pages are static, and show nothing of a request",
}
ORIGIN = {"cert_revocation": EDGE["cert_revocation"]}


def scan(host, address, port, root, file):
    """All findings, id to (severity, text). No name is looked up, and no other host is asked."""
    quiet = ["--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--ip", address]
    command = ["testssl", *quiet, *TESTS, "--add-ca", root, "--jsonfile", file, f"{host}:{port}"]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT)
    return {finding["id"]: (finding["severity"], finding["finding"]) for finding in json.loads(file.read_text())}


def problems(findings, excused):
    """Findings above LOW that are not excused, and tests that were not done, as texts."""
    missing = [f"no finding {id}" for id in EXPECTED if id not in findings]
    bad = [
        f"{id}: {severity}: {text}"
        for id, (severity, text) in findings.items()
        if severity not in GOOD and id not in (UNTESTED if severity == "WARN" else excused)
    ]
    return missing + bad

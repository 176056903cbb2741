"""TLS sessions, as openssl keeps them in files."""

import subprocess
import threading

from daemons import until


def begin(host, version, address, root, file):
    """Begins a session of `version`, such as "tls1_3", and keeps it in `file`."""
    file.unlink(missing_ok=True)
    has_ticket = lambda _: file.exists() and file.stat().st_size
    printed = connect(host, version, address, root, "-sess_out", file, is_done=has_ticket)
    if not file.exists():
        raise SystemExit(f"FAIL  no session at {address}:\n{printed}")


def is_resumed(host, version, address, root, file):
    """Whether the session in `file` is resumed, by a connection that otherwise succeeds too."""
    printed = connect(host, version, address, root, "-sess_in", file, is_done=has_handshake)
    if not has_handshake(printed):
        raise SystemExit(f"FAIL  no handshake at {address}:\n{printed}")
    return "\nReused, " in printed


def has_handshake(printed):
    return "\nReused, " in printed or "\nNew, " in printed


def connect(host, version, address, root, *options, is_done):
    """Holds a connection until `is_done` says so of what was printed. Returns that.

    In TLS 1.3 the ticket comes after the handshake, and the end of the input would end the connection before."""
    target = ["-connect", f"{address}:443", "-servername", host, "-CAfile", root, "-verify_return_error", f"-{version}"]
    command = ["openssl", "s_client", *target, *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        until("openssl is connected", lambda: is_done("".join(lines)) or process.poll() is not None, 20)
    finally:
        process.stdin.close()
        process.wait(20)
        reader.join()
    return "".join(lines)

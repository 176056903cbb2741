"""The site that all servers have: files in a directory, and redirects."""

import random
import subprocess

SMALL, LARGE = 450, 222 * 1024
FILES, REDIRECTS = 20_000, 10_000
# Bytes of the many files.
SIZES = (450, 4096)
HOST = "demo.localhost"


class Site:
    """Writes the files. The contents of a path are `files[path]`; redirects lead from `/old/N` to `/new/N`."""

    def __init__(self, directory):
        self.directory, self.files = directory, {}
        source = random.Random(1)
        self.many = [f"/f/{number // 100:03}/{number:05}.bin" for number in range(FILES)]
        for path in self.many:
            self.write(path, source.randbytes(source.randint(*SIZES)))
        self.write("/small.bin", source.randbytes(SMALL))
        # static-web-server leaves white space at the end out.
        self.write("/404.html", b"<!doctype html><title>Not found</title><p>".ljust(SMALL, b"."))
        self.write("/large.js", script(source))
        large = directory / "large.js"
        subprocess.run(["brotli", "-q", "11", "-o", f"{large}.br", large], check=True)
        self.large_br = (directory / "large.js.br").read_bytes()
        self.redirects = {f"/old/{number}": f"/new/{number}" for number in range(REDIRECTS)}
        (directory / "_redirects").write_text("".join(f"{path} {target} 301\n" for path, target in self.redirects.items()))

    def write(self, path, content):
        file = self.directory / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.files[path] = content


def script(source):
    """Text that brotli compresses to about a third."""
    words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 9))) for _ in range(800)]
    text = ""
    while len(text) < LARGE:
        text += f"const {source.choice(words)} = {source.choice(words)}.{source.choice(words)}({source.randint(0, 999)});\n"
    return text[:LARGE].encode()

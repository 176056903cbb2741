#!/usr/bin/env python3
"""Fails if a page in docs/ or README.md refers to a test, a source file or a page that does not exist.

Checked are links between pages, paths of source files in backticks, and names of tests (`origin::test` or `edge::follow::module`)."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"cluster": ["tests"], "origin": ["origin"], "edge": ["edge"], "geodns": ["geodns"], "verge": ["deploy"], "daemon": ["daemon"], "protocol": ["protocol"]}


def rust_files(folder):
    return [path for path in (ROOT / folder).rglob("*.rs") if "target" not in path.parts]


def main():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    sources = {name: [path for folder in folders for path in rust_files(folder)] for name, folders in FOLDERS.items()}
    functions = {name: set(re.findall(r"\bfn (\w+)", "".join(path.read_text() for path in paths))) for name, paths in sources.items()}
    modules = {name: {path.stem for path in paths} | {part for path in paths for part in path.parts} for name, paths in sources.items()}
    wrong = []
    for page in pages:
        text = page.read_text()
        # Names of tests may be broken over lines with the text around them, never within.
        for crate, rest in re.findall(r"`(\w+)::((?:\w+::)*\w+)`", text):
            if crate in functions:
                *path, last = rest.split("::")
                if not (last in functions[crate] or last in modules[crate]) or any(part not in modules[crate] for part in path):
                    wrong.append(f"{page.name}: no test or module `{crate}::{rest}`")
        for path in re.findall(r"`((?:protocol|daemon|origin|edge|geodns|deploy|tests|bench|docs)/[\w./-]+)`", text):
            if not (ROOT / path).exists():
                wrong.append(f"{page.name}: no file {path}")
        for link in re.findall(r"\]\(([\w./-]+\.md)[)#]", text):
            if not (page.parent / link).exists():
                wrong.append(f"{page.name}: no page {link}")
    print("\n".join(wrong) or f"{len(pages)} pages are consistent with the sources")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

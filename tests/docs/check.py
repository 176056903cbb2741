#!/usr/bin/env python3
"""Fails if a page in docs/ or README.md refers to something that does not exist.

Checked are links between pages, paths of source files in backticks, names of tests (`origin::test` or `edge::follow::module`), and
snake_case names of settings, metrics, fields and error codes; and that no placeholder is left."""

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
    code = "".join(path.read_text() for name in [*FOLDERS, "tests"] for path in (ROOT / FOLDERS.get(name, [name])[0]).rglob("*.rs"))
    code += "".join(path.read_text() for path in ROOT.glob("*/*.sample.toml"))
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
        for name in re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", text):
            # Metrics may carry the prefix of their daemon, and counters the suffix that the format asks for.
            stem = re.sub(r"^verge_(?:dns|edge|origin)_", "", name).removesuffix("_total")
            if stem not in code:
                wrong.append(f"{page.name}: nothing is called `{name}`")
        wrong += [f"{page.name}: placeholder {mark}" for mark in re.findall(r"@@\w+", text)]
        for link in re.findall(r"\]\(([\w./-]+\.md)[)#]", text):
            if not (page.parent / link).exists():
                wrong.append(f"{page.name}: no page {link}")
    print("\n".join(wrong) or f"{len(pages)} pages are consistent with the sources")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Fails if the modules of a crate use each other in a circle.

    cycles.py CRATE…      checks the crates in these folders
    cycles.py --self-test shows that planted circles are found

A module uses another if its code, tests left out, names one of the other's items, directly or through a re-export. A re-export
itself (`pub use self::child::Item`) is no use, unless the module needs the item too. The items of `foo.rs` and those of its child `foo/bar.rs` are different modules.
The parser knows as much of Rust as `use` trees, paths and item names: enough for code that rustfmt has formatted.
"""

import re
import sys
import tempfile
from pathlib import Path

ITEM = re.compile(
    r"^(?:pub(?:\([^)]*\))?\s+)?(?:default\s+|const\s+|async\s+|unsafe\s+|extern\s+\"C\"\s+)*"
    r"(?:fn|struct|enum|union|trait|type|const|static|macro_rules!)\s+([A-Za-z_]\w*)",
    re.M,
)
MOD = re.compile(r"((?:#\[[^\n]*\]\s*)*)^(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", re.M)
USE = re.compile(r"^[ \t]*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.M)
LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(?P<hashes>#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^']+|[^\\'])'""",
    re.S,
)
PATH = re.compile(r"(?<![\w:.])((?:crate|self|super|[a-z_]\w*)(?:::\w+)+)")


def strip(text):
    """Removes comments, strings, characters and test modules."""
    text = LITERAL.sub(lambda match: "" if match.group().startswith("/") else '""', text)
    return re.sub(r"^#\[cfg\(test\)\]\nmod \w+ \{.*?^\}", "", text, flags=re.S | re.M)


def leaves(tree, prefix=()):
    """The paths of a `use` tree, each with the name it is bound to."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace >= 0:
        head = tuple(part for part in tree[:brace].split("::") if part.strip())
        inner, depth, start = tree[brace + 1 : tree.rindex("}")], 0, 0
        for at, char in enumerate(inner + ","):
            depth += {"{": 1, "}": -1}.get(char, 0)
            if char == "," and depth == 0:
                if inner[start:at].strip():
                    yield from leaves(inner[start:at], prefix + head)
                start = at + 1
        return
    path, _, alias = tree.partition(" as ")
    path = prefix + tuple(part.strip() for part in path.split("::") if part.strip())
    if path and path[-1] == "self":
        path = path[:-1]
    if path:
        yield path, alias.strip() or path[-1]


class Module:
    def __init__(self, path, text):
        self.path = path
        self.children = {name for attributes, name in MOD.findall(text) if "cfg(test)" not in attributes}
        self.items = set(ITEM.findall(text))
        self.imports = {}  # name → path, of all `use`, since child modules see private ones too
        self.uses = []  # paths that count
        body = USE.sub("", text)
        for public, tree in USE.findall(text):
            for target, name in leaves(tree):
                self.imports[name] = target
                # A re-export is a use only if the module itself needs the name as well.
                if not public or re.search(rf"(?<![\w:]){re.escape(name)}(?!\w)", body):
                    self.uses.append(target)
        for found in PATH.findall(body):
            self.uses.append(tuple(found.split("::")))


def load(source):
    """All modules of a crate that are compiled outside tests, by path."""
    modules = {}

    def visit(path, file, folder):
        if not file.exists():
            return
        module = modules[path] = Module(path, strip(file.read_text()))
        for child in module.children:
            visit((*path, child), folder / f"{child}.rs", folder / child)

    root = source / "lib.rs" if (source / "lib.rs").exists() else source / "main.rs"
    visit((), root, source)
    return modules


def resolve(modules, where, path, seen=()):
    """The module that defines what `path` names in module `where`; `None`: it is not of this crate."""
    at, rest = where, list(path)
    if rest[0] == "crate":
        at, rest = (), rest[1:]
    elif rest[0] in ("self", "super"):
        while rest and rest[0] in ("self", "super"):
            at = at[:-1] if rest[0] == "super" else at
            rest = rest[1:]
    elif rest[0] not in modules[where].children and rest[0] not in modules[where].imports:
        return None
    while rest:
        module, name = modules.get(at), rest[0]
        if module is None:
            return None
        if name in module.children and (*at, name) in modules:
            at, rest = (*at, name), rest[1:]
        elif name in module.items or name == "*":
            return at
        elif name in module.imports and (at, name) not in seen:
            return resolve(modules, at, (*module.imports[name], *rest[1:]), (*seen, (at, name)))
        else:
            return None
    return None  # a module, not an item: what is taken from it is seen where its path is written out


def circles(edges):
    """The strongly connected components of more than one module (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(component)

    for node in list(edges):
        if node not in index:
            visit(node)
    return found


def check(crate):
    modules = load(Path(crate) / "src")
    edges = {}
    for path, module in modules.items():
        targets = {resolve(modules, path, use) for use in module.uses}
        edges[path] = sorted(target for target in targets if target is not None and target != path)
    failed = False
    for component in circles(edges):
        failed = True
        print(f"{crate}: these modules use each other in a circle:")
        for path in sorted(component):
            targets = ", ".join("::".join(target) or "crate" for target in edges[path] if target in component)
            print(f"    {'::'.join(path) or 'crate'} uses {targets}")
    return not failed


def self_test():
    def planted(files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                file = Path(folder) / "src" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return not check(folder)

    use_a, use_b = "use crate::a::{self, A};\npub struct B(A);\n", "pub struct A;\n"
    assert not planted({"lib.rs": "mod a;\nmod b;\n", "a.rs": use_b, "b.rs": use_a}), "one way is no circle"
    assert planted({"lib.rs": "mod a;\nmod b;\n", "a.rs": use_b + "fn f(b: super::b::B) {}\n", "b.rs": use_a}), "siblings"
    assert planted(
        {"lib.rs": "mod a;\n", "a.rs": "mod c;\nuse self::c::C;\npub struct A(C);\n", "a/c.rs": "use super::A;\npub struct C(Box<A>);\n"}
    ), "parent and child"
    reexport = {"lib.rs": "mod a;\nmod b;\n", "a.rs": "mod c;\npub use self::c::C;\nuse crate::b::B;\n", "b.rs": "use crate::a::C;\npub struct B;\n"}
    assert not planted({**reexport, "a/c.rs": "pub struct C;\n"}), "a re-export is no use of the parent"
    assert planted({**reexport, "a/c.rs": "use crate::b::B;\npub struct C(B);\n"}), "through a re-export"
    tests = "pub struct A;\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n"
    assert not planted({"lib.rs": "mod a;\nmod b;\n", "a.rs": tests, "b.rs": use_a}), "tests are left out"
    for use in ["fn f() {\n    use crate::b::{B, C};\n}\n", "use crate::b::*;\n", "pub(crate) use crate::b::B;\nstruct D(B);\n", "const Q: char = '\"';\nuse crate::b::B;\n"]:
        assert planted({"lib.rs": "mod a;\nmod b;\n", "a.rs": "pub struct A;\n" + use, "b.rs": use_a + "pub struct C;\n"}), use
    print("planted circles are found")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    else:
        sys.exit(0 if all([check(crate) for crate in sys.argv[1:]]) else 1)

"""Sizes: a function <= 60 lines, a C file <= 600 lines, a line <= 100 columns."""
import re

import sources

MAX_FUNCTION, MAX_FILE, MAX_COLUMNS = 60, 600, 100
NAME = re.compile(r"(\w+)\s*\(")


def functions(lines):
    """(name, first line, length) of each function body; K&R has both its braces in column 0."""
    start = None
    name = "?"
    for number, line in enumerate(lines, 1):
        if line[:1].isalpha() or line[:1] == "_":
            found = NAME.search(line)
            if found:
                name = found.group(1)
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start is not None:
            yield name, start, number - start + 1
            start = None


def check(path, text):
    bad = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        width = len(line.expandtabs(8))
        if width > MAX_COLUMNS:
            bad.append("%s:%d: %d columns" % (path, number, width))
    if path.endswith((".c", ".h")):
        if len(lines) > MAX_FILE:
            bad.append("%s: %d lines" % (path, len(lines)))
        for name, start, length in functions(lines):
            if length > MAX_FUNCTION:
                bad.append("%s:%d: %s has %d lines" % (path, start, name, length))
    return bad


def check_tree(root=sources.ROOT):
    bad = []
    for name in sources.files(root, (".c", ".h", ".py", ".js")):
        bad += check(name, sources.text(root, name))
    return bad

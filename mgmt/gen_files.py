#!/usr/bin/env python3
"""Makes the C table of the files under a folder, and of others under names of their own:
gen_files.py FOLDER OUTPUT DEPFILE [NAME=PATH...]."""
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


def find(folder):
    """Paths of the files that are served, in order; others (tests, notes) have no type here."""
    found = []
    for base, dirs, names in os.walk(folder):
        dirs[:] = [d for d in dirs if not d.startswith(".")]
        for name in names:
            path = os.path.join(base, name)
            if os.path.splitext(name)[1] in TYPES and not name.startswith("."):
                found.append(os.path.relpath(path, folder))
    return sorted(found)


def array(number, data):
    rows = [", ".join("0x%02x" % b for b in data[i:i + 16]) for i in range(0, len(data), 16)]
    return "static const unsigned char bytes_%d[] = {\n%s\n};\n" % (number, ",\n".join(rows) or "0")


def main(folder, output, depfile, *others):
    arrays, rows = [], []
    paths = {name: os.path.join(folder, name) for name in find(folder)}
    paths.update(other.split("=", 1) for other in others)
    for number, (name, path) in enumerate(sorted(paths.items())):
        with open(path, "rb") as f:
            data = f.read()
        etag = '\\"%s\\"' % hashlib.sha256(data).hexdigest()[:24]
        arrays.append(array(number, data))
        rows.append('    {"%s", "%s", "%s", bytes_%d, %d},\n' %
                    (name, TYPES[os.path.splitext(name)[1]], etag, number, len(data)))
    with open(output, "w", encoding="utf-8") as f:
        f.write('/* Made by gen_files.py. */\n#include "mgmt/files.h"\n\n')
        f.write("\n".join(arrays))
        f.write("\nconst struct file files[] = {\n%s    {0},\n};\n" % "".join(rows))
    folders = [base for base, _, _ in os.walk(folder)]
    with open(depfile, "w", encoding="utf-8") as f:
        f.write("%s: %s\n" % (output, " ".join(list(paths.values()) + folders)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The layout of C files is clang-format's; `./dev format` brings it about."""
import subprocess

import sources

TOOL = "clang-format"


def check_tree(root=sources.ROOT):
    names = sources.files(root, (".c", ".h"))
    if not names:
        return []
    got = subprocess.run([TOOL, "--dry-run", "--ferror-limit=0", "--style=file", *names],
                         cwd=root, capture_output=True, text=True, check=False)
    if got.returncode:
        return [got.stderr]
    spots = [line.split(": warning:")[0] for line in got.stderr.splitlines()
             if ": warning:" in line]
    first = {}
    for spot in spots:
        first.setdefault(spot.split(":")[0], spot)
    return ["%s: not as clang-format lays it out (./dev format)" % s for s in first.values()]

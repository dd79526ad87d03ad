"""Which files the lints look at."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED_DIRS = {".git", "node_modules", "__pycache__", "warren-data"}


def walk(root):
    for folder, dirs, names in os.walk(root):
        dirs[:] = [d for d in dirs
                   if d not in SKIPPED_DIRS and not (folder == root and d.startswith("build"))]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def files(root=ROOT, suffixes=None):
    """Paths relative to root: what git knows or would add, or all files where git is not there."""
    got = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True, check=False)
    same = subprocess.run(["git", "-C", root, "rev-parse", "--show-prefix"],
                          capture_output=True, text=True, check=False)
    if got.returncode == 0 and same.returncode == 0 and not same.stdout.strip():
        names = got.stdout.splitlines()
    else:
        names = list(walk(root))
    return sorted(n for n in set(names)
                  if os.path.isfile(os.path.join(root, n))
                  and (suffixes is None or n.endswith(tuple(suffixes))))


def text(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as f:
        return f.read()

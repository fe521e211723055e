"""The version of this package, and which build of it this is."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]  # has core and tui


def version() -> str:
    """The installed version; "0" when run from a source tree that was never installed."""
    try:
        return installed_version("mailquota")
    except PackageNotFoundError:
        return "0"


@lru_cache(maxsize=1)
def build() -> str:
    """The version, and a number made of the code: two builds of one version differ in it. Reads all files, once.

    So it has to be asked for when the process starts: later there may be other files.
    """
    return f"{version()}+{digest(_PACKAGE)}"


def digest(package: Path) -> str:
    """Eight digits of the code below ``package``, the same wherever it is; "unknown" where it can't be read."""
    found = hashlib.blake2b(digest_size=4)
    try:
        for top in ("core", "tui"):
            for path in sorted((package / top).rglob("*.py")):
                code = path.read_bytes()
                found.update(f"{path.relative_to(package)} {len(code)}\n".encode() + code)
    except OSError:
        return "unknown"
    return found.hexdigest()

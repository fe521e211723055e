"""The version of this package."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """The installed version; "0" when run from a source tree that was never installed."""
    try:
        return installed_version("mailquota")
    except PackageNotFoundError:
        return "0"

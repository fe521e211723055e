"""``python -m mailquota``: the command, where it is not on PATH."""

import sys

from mailquota.tui.command import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m coovox_license`."""

import sys

from coovox_license.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m nin` is `nin`."""

import sys

from nin.cli import main

if __name__ == "__main__":
    sys.exit(main())

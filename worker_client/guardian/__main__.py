"""Runs a program as its orders say; see the package."""

import os
import sys

if __name__ == "__main__":
    # Without site-packages there is no other way to our own modules; last, so that they hide nothing of the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120  starts faster

    from worker_client.guardian.guard import main

    main(sys.argv[2:])

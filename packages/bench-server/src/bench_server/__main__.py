"""`python -m bench_server`: the `bench-server` command."""

import sys

from bench_server.command import main

sys.exit(main())

"""`python -m bench_cli`: the `bench` command."""

import sys

from bench_cli.main import main

sys.exit(main())

"""The server's settings with a folder of their own, for mypy's knowledge of models."""

import os
import tempfile

from bench_server.data_folder import open_folder

os.environ["BENCH_SERVER_DATA"] = str(open_folder(tempfile.mkdtemp(), create=True).path)

from bench_server.settings import *  # noqa: F403

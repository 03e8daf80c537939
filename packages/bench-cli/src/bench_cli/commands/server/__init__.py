"""`bench server`."""

import os

from bench_cli.lazy import Entry, LazyGroup

server = LazyGroup(
    name="server",
    help="Run a server on this machine.",
    callback=lambda: os.umask(0o077),  # password hashes, secrets and other people's data
    entries={
        "start": Entry("server.start:start", "Start the server and leave it running.", "Running"),
        "stop": Entry("server.stop:stop", "Stop the server.", "Running"),
        "restart": Entry("server.restart:restart", "Stop the server and start it as it was.", "Running"),
        "status": Entry("server.status:status", "Show whether the server runs, and where.", "Running"),
        "logs": Entry("server.logs:logs", "Show what the server says.", "Running"),
        "createuser": Entry("server.createuser:createuser", "Make an account.", "People"),
        "invite": Entry("server.invite:invite", "Make an invitation for one person.", "People"),
        "check": Entry("server.check:check", "Look for damage in the server's data.", "Data"),
        "backup": Entry("server.backup:backup", "Copy the server's data into a folder.", "Data"),
        "restore": Entry("server.restore:restore", "Make a server's folder from a backup.", "Data"),
        "gc": Entry("server.gc:gc", "Find what no dataset and no run needs, and remove it.", "Data"),
        "quota": Entry("server.quota:quota", "List what projects take and may take, or set a limit.", "Data"),
        "disk": Entry("server.disk:disk", "Show what the server's data takes, by kind and project.", "Data"),
    },
)

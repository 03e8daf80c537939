"""bench-data, GNU tar, the plain files and the peers, measured side by side."""

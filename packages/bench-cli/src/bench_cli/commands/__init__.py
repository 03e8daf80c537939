"""The commands, a file or folder each. They parse, ask, and print; nothing else."""

"""The datasets of this project."""

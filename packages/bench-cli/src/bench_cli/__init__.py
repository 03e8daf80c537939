"""The `bench` command. It has no logic of its own: commands ask the packages below and show what they say."""

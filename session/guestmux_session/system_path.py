"""Where the machine's agent has its configuration; apart from what reads it, for the help of the command line."""

DEFAULT_PATH = "/etc/guestmux/system-agent.toml"

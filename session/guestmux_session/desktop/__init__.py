"""What the session's desktop shows and does: its display server's connections, and the providers that stand on them."""

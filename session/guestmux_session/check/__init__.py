"""`guestmux-session check-agent`: plays eventd for an agent on a bus of its own, and looks at what it does."""

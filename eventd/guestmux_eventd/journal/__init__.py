"""The journal of events on disk: what outlives a crash of eventd, and names what did not."""

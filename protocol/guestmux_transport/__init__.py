"""The thin I/O that eventd, agents and hosts share: byte pipes and D-Bus."""

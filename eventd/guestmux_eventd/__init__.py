"""The guest daemon: owns the ports, routes commands to agents, pushes events."""

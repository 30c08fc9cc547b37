"""Agents that hosts push into the guest: checked, installed, started, upgraded and removed."""

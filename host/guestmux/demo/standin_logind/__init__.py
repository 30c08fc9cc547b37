"""A stand-in for systemd-logind on a private bus, for the demo and the tests: it manages nothing real.

It answers the subset of org.freedesktop.login1(5) that guestmux uses as systemd 252 does, and is told through
`org.guestmux.StandinLogind1` who logs in, locks or shuts down.
"""

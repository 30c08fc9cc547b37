"""guestmux-qga: qemu-ga's command line, channels and verbs in one process, without D-Bus.

The one package that imports both eventd (the router, the host's side) and session (the verbs).
"""

"""`guestmux-eventd --doctor`: what of guestmux is installed, running, connected and refused in this guest.

It looks, and changes nothing; it starts nothing either. Who is not root is told what only root can see.
"""

"""What is measured: eventd, qemu-ga, plain D-Bus clients; each a process of its own."""

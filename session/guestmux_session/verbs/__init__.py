"""What the stock agents do for qemu-ga's commands; classes without bus or agent."""

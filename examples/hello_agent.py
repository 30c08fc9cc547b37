# The smallest agent: one command. Run it in a session: python3 examples/hello_agent.py
from guestmux_session import Agent, command


class Hello(Agent):
    name = "org.example.hello"
    version = "1.0"

    @command("__org.example_hello")
    def hello(self, who: str = "world") -> str:
        """Greet somebody."""
        return f"Hello, {who}!"


Hello().main()

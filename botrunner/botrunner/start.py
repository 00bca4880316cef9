"""Why: the console script. It can be told to stop before the rest, which takes a second or two, has loaded."""

from botfleet.startup import end_on_sigterm


def main() -> None:
    """Console script `botrunner`."""
    end_on_sigterm()
    from botrunner.main import main as loaded

    loaded()

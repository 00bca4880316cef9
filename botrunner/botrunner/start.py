"""Why: the console script. It can be told to stop before the rest, which takes a second or two, has loaded; and of the rest it
loads no more than a bot needs."""

import sys

from botfleet.startup import end_on_sigterm


def main() -> None:
    """Console script `botrunner`."""
    end_on_sigterm()
    _load_structlog_without_rich()
    from botrunner.main import main as loaded

    loaded()


def _load_structlog_without_rich() -> None:
    """It would draw tracebacks with it, and takes it, with pygments, wherever it is there (it is, for typer's help, which loads
    it when it is shown). Without it each bot of a fleet leaves 3 MiB to others, and is there sooner."""
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # the import system's word for "not to be found"
    import structlog  # noqa: F401

    del sys.modules["rich"]


if __name__ == "__main__":
    main()

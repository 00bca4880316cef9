"""
Why: the console scripts. They can be told to stop before the rest, which takes a second or two, has loaded.
Never: anything else; what they start is in their own modules.
"""

from __future__ import annotations

from botfleet.startup import end_on_sigterm


def operator() -> None:
    """Console script `botfleet-operator`."""
    end_on_sigterm()
    from botfleet_operator.main import main

    main()


def migrate() -> None:
    """Console script `botfleet-migrate`. A migration that is ended is rolled back, and begins anew."""
    end_on_sigterm()
    from botfleet_operator.migrate import main

    main()


def bootstrap() -> None:
    """Console script `botfleet-bootstrap`. What it has made stays, and the next run makes the rest."""
    end_on_sigterm()
    from botfleet_operator.bootstrap import main

    main()

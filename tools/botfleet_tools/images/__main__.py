"""`python -m botfleet_tools.images`: the same as `botfleet-images`. Nothing else belongs here."""

from botfleet_tools.images.cli import main

main()

"""`python -m botfleet_simulator` is the command line; nothing else may live here."""

from botfleet_simulator.cli import main

if __name__ == "__main__":
    main()

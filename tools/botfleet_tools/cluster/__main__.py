"""Runs the command line: python -m botfleet_tools.cluster."""

from botfleet_tools.cluster.cli import main

main()

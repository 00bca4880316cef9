"""Puts the whole platform into a development cluster: images, chart, simulated Telegram and model. For demo and end-to-end tests.

The cluster itself is cluster/'s business; what a user's cluster needs is the chart's.
"""

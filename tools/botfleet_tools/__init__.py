"""Development tools: what developers, tests and CI need around the product.

Nothing in here may be needed by a user's cluster, and nothing of the product may import it.
"""

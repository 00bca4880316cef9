"""
Why: what a bot has outside the cluster: a role in the database and a user in Redis.
Never: a password in clear text on the wire to either, in a log, or in a process list.
"""

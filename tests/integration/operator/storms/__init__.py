"""A storm: bots made, edited and deleted at random while the operator is killed and its API server does wrong."""

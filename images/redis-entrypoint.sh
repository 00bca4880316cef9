#!/bin/sh
# Starts Redis the way the official image does: a first argument that is an option or a configuration file means redis-server.
# Whoever reaches the port is the network policy's and the ACL file's business: protected mode is off there too.
set -eu
case ${1:-} in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "${1:-}" = redis-server ]; then
    umask 0077
    set -- "$@" --protected-mode no
fi
exec "$@"

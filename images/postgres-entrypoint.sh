#!/bin/bash
# Starts PostgreSQL the way the official image does, as far as the chart uses it: on an empty PGDATA a database is made, then
# the scripts of /docker-entrypoint-initdb.d run once, then `postgres` with the given arguments. It never runs as root, never
# prints a password, and takes it from a file alone.
#
# Environment: PGDATA, POSTGRES_USER (postgres), POSTGRES_DB (as POSTGRES_USER), POSTGRES_PASSWORD_FILE, POSTGRES_INITDB_ARGS.
set -euo pipefail
umask 0077

fail() { echo "postgres-entrypoint: $*" >&2; exit 1; }

# The new database grows in a folder of its own and moves into place when it is whole, PG_VERSION last: a container that is
# killed while it initializes begins anew at its next start, and the scripts never run on half a database.
initialize() {
    local user=${POSTGRES_USER:-postgres} database new=$PGDATA/.new
    database=${POSTGRES_DB:-$user}
    [ -r "${POSTGRES_PASSWORD_FILE:-}" ] || fail "POSTGRES_PASSWORD_FILE must name a readable file with the superuser's password"
    find "$PGDATA" -mindepth 1 -delete
    # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS is a list of words
    initdb --pgdata="$new" --username="$user" --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all scram-sha-256\n' >> "$new/pg_hba.conf"

    # With the arguments of the real start: what they say about logging holds for the scripts' statements too.
    pg_ctl --pgdata="$new" --silent --wait --options="$(printf '%q ' "$@" -c listen_addresses=)" start
    export PGUSER=$user
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
    if [ "$database" != postgres ]; then
        psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --dbname=postgres -v database="$database" \
            <<< 'create database :"database"'
    fi
    export PGDATABASE=$database
    run_scripts
    unset PGUSER PGPASSWORD PGDATABASE
    pg_ctl --pgdata="$new" --silent --wait --mode=fast stop

    find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    sync "$PGDATA"
    mv "$new/PG_VERSION" "$PGDATA/"
    rmdir "$new"
}

run_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh)
                echo "postgres-entrypoint: running $script"
                # shellcheck source=/dev/null
                if [ -x "$script" ]; then "$script"; else . "$script"; fi
                ;;
            *.sql)
                echo "postgres-entrypoint: running $script"
                psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --file="$script"
                ;;
        esac
    done
}

case ${1:-} in
    -*) set -- postgres "$@" ;;
esac
if [ "${1:-}" = postgres ]; then
    [ "$(id -u)" != 0 ] || fail "must not run as root"
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || true
    # Of a container that was killed before this one: in the new one its process id may be somebody else's, and PostgreSQL
    # would take that for a server that runs. The folder is this container's alone.
    rm -f /var/run/postgresql/.s.PGSQL.*.lock
    [ -s "$PGDATA/PG_VERSION" ] || initialize "${@:2}"
fi
exec "$@"

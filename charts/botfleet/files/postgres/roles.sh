#!/bin/sh
# Runs once, when the bundled PostgreSQL makes its database: the two roles of the installation, and nothing for PUBLIC.
# psql reads the passwords from their files itself, so that they are in no argument and no environment.
set -eu

for role in owner operator; do
  file="/run/botfleet/postgres/$role-password"
  if [ ! -s "$file" ]; then
    echo "$file is empty or missing" >&2
    exit 1
  fi
done

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set owner botfleet_owner
\set operator botfleet_operator
\set owner_password `cat /run/botfleet/postgres/owner-password`
\set operator_password `cat /run/botfleet/postgres/operator-password`
\i /etc/botfleet/postgres/bootstrap.sql

-- The server is this installation's alone, so its other databases are closed too.
revoke all on database postgres, template1 from public;
SQL

#!/bin/sh
# Runs once, when the bundled PostgreSQL makes its database: the two roles of the installation, and nothing for PUBLIC.
# psql reads the passwords from their files itself, so that they are in no argument and no environment.
set -eu

passwords=/run/botfleet/postgres
for role in owner operator; do
  if [ ! -s "$passwords/$role-password" ]; then
    echo "$passwords/$role-password is empty or missing" >&2
    exit 1
  fi
done

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
  --dbname "$POSTGRES_DB" <<'SQL'
\set owner_password `cat /run/botfleet/postgres/owner-password`
\set operator_password `cat /run/botfleet/postgres/operator-password`

create role botfleet_owner login password :'owner_password'
  nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
create role botfleet_operator login createrole password :'operator_password'
  nosuperuser nocreatedb noreplication nobypassrls;

alter database botfleet owner to botfleet_owner;
revoke all on database botfleet, postgres, template1 from public;
grant connect on database botfleet to botfleet_operator;
revoke all on schema public from public;

-- To end the sessions of a bot's role. From 16 on the operator has that right over the roles that it makes.
select current_setting('server_version_num')::integer < 160000 as before_16 \gset
\if :before_16
  grant pg_signal_backend to botfleet_operator;
\endif
SQL

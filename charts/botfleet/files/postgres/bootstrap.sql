-- What a superuser does once, in the database of one installation, before the first migration. For psql, with variables:
--   owner, operator                      names of the two roles
--   owner_password, operator_password    read from files: \set owner_password `cat FILE`
-- The database belongs to nothing but this installation. On a server that is shared with anything else: PostgreSQL 16 or
-- later, because before that a role with CREATEROLE may change almost every other role.

create role :"owner" login password :'owner_password'
  nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
create role :"operator" login createrole password :'operator_password'
  nosuperuser nocreatedb noreplication nobypassrls;

select current_database() as database \gset
alter database :"database" owner to :"owner";
revoke all on database :"database" from public;
grant connect on database :"database" to :"operator";
revoke all on schema public from public;

-- Large objects belong to no schema: without this any role could fill the disk with them.
select pg_catalog.format('revoke execute on function %s from public', oid::pg_catalog.regprocedure)
  from pg_catalog.pg_proc
  where pronamespace = 'pg_catalog'::pg_catalog.regnamespace
    and proname in ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lowrite', 'lo_open')
\gexec

-- To end the sessions of a bot's role. From 16 on the operator has that right over the roles that it makes.
select current_setting('server_version_num')::integer < 160000 as before_16 \gset
\if :before_16
  grant pg_signal_backend to :"operator";
\endif

-- Dump the database to descriptor 3, and say in facts what the dump holds: rows of the large tables, its migrations, the last change.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\! pg_dump -w -Fc --snapshot="$SNAPSHOT" >&3; echo "pg_dump.status=$?"
SELECT 'database_time=' || extract(epoch FROM now())::bigint;
SELECT 'postgresql=' || current_setting('server_version_num');
SELECT 'database_mb=' || pg_database_size(current_database()) / 1048576;
SELECT 'migrations=' || count(*) || ' ' || md5(string_agg(app || '.' || name, ' ' ORDER BY app COLLATE "C", name COLLATE "C")) FROM django_migrations;
SELECT format('SELECT %L || coalesce(max(id), 0) || '' '' || coalesce(replace(max(time)::text, '' '', ''T''), ''1970-01-01T00:00:00+00'') FROM %I.%I', 'changes.' || c.relname || '=', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relname IN ('extras_objectchange', 'core_objectchange') AND n.nspname = current_schema() \gexec
SELECT format('SELECT %L || count(*) FROM %I.%I', 'rows.' || n.nspname || '.' || c.relname || '=', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname || c.relname !~ '[^a-zA-Z0-9_]'
    AND pg_has_role(current_user, c.relowner, 'USAGE')
    ORDER BY pg_table_size(c.oid) DESC LIMIT 20 \gexec
COMMIT;

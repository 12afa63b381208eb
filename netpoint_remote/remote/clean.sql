-- Remove what belongs to NetPoint's role, before a dump is put back: relations, routines, types, collations and what is built
-- on them, but for those of extensions. What other roles keep in the database is theirs. prokind came with PostgreSQL 11.
DO $clean$
DECLARE
    item record;
    names text[];
    name text;
BEGIN
    FOR item IN
        SELECT catalogue, owner FROM (VALUES ('pg_operator', 'oprowner', true), ('pg_ts_config', 'cfgowner', true),
            ('pg_ts_dict', 'dictowner', true), ('pg_conversion', 'conowner', true), ('pg_opclass', 'opcowner', false),
            ('pg_opfamily', 'opfowner', false), ('pg_event_trigger', 'evtowner', false)) AS kinds (catalogue, owner, anyone)
        WHERE anyone OR current_setting('is_superuser') = 'on' -- the others only a superuser can make again
    LOOP
        EXECUTE format('SELECT array_agg(i.type || '' IF EXISTS '' || i.identity) FROM %I AS o
            CROSS JOIN LATERAL pg_identify_object(o.tableoid, o.oid, 0) AS i
            WHERE o.oid >= 16384 AND pg_has_role(current_user, o.%I, ''USAGE'')
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.tableoid AND d.objid = o.oid AND d.deptype = ''e'')',
            item.catalogue, item.owner) INTO names;
        FOREACH name IN ARRAY coalesce(names, '{}')
        LOOP
            EXECUTE 'DROP ' || name || ' CASCADE';
        END LOOP;
    END LOOP;
    FOR item IN
        SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
                   WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
               format('%I.%I', n.nspname, c.relname) AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND pg_has_role(current_user, c.relowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY c.relkind = 'S', c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', item.kind, item.name);
    END LOOP;
    FOR item IN
        SELECT p.oid::regprocedure AS name,
               CASE WHEN to_jsonb(p)->>'prokind' = 'a' OR to_jsonb(p)->>'proisagg' = 'true' THEN 'AGGREGATE'
                   WHEN to_jsonb(p)->>'prokind' = 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND pg_has_role(current_user, p.proowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', item.kind, item.name);
    END LOOP;
    FOR item IN
        SELECT format('%I.%I', n.nspname, t.typname) AS name
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND t.typelem = 0
          AND (t.typrelid = 0 OR c.relkind = 'c') AND pg_has_role(current_user, t.typowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('DROP TYPE IF EXISTS %s CASCADE', item.name);
    END LOOP;
    FOR item IN
        SELECT format('%I.%I', n.nspname, c.collname) AS name
        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND pg_has_role(current_user, c.collowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('DROP COLLATION IF EXISTS %s CASCADE', item.name);
    END LOOP;
END
$clean$;

-- Part of a statement: what clean.sql removes or takes along, and which rights others have on it. A line has, with tabs
-- between, whose it is (own, other), the object and the right. Default rights are not in it: those of a database stay.
-- What only a superuser can make again is another's.
SELECT DISTINCT concat_ws(E'\t', CASE WHEN pg_has_role(current_user, found.owner, 'USAGE')
        AND (identified.type NOT IN ('operator class', 'operator family') OR current_setting('is_superuser') = 'on')
        THEN 'own' ELSE 'other' END,
    translate(identified.type || ' ' || identified.identity, E'\t\n', '  '),
    translate(granted.text || found.part, E'\t\n', '  ')) AS line
FROM (
    SELECT d.classid, d.objid, '' AS part, coalesce(c.relowner, p.proowner, t.typowner, s.refobjid) AS owner,
        coalesce(c.relacl, p.proacl, t.typacl, acldefault((CASE WHEN c.relkind = 'S' THEN 's'
            WHEN c.oid IS NOT NULL THEN 'r' WHEN p.oid IS NOT NULL THEN 'f' WHEN t.oid IS NOT NULL THEN 'T' END)::"char",
            coalesce(c.relowner, p.proowner, t.typowner))) AS acl
    FROM (SELECT classid, objid FROM pg_depend WHERE objid >= 16384 AND classid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relname IN ('pg_class',
                'pg_proc', 'pg_type', 'pg_cast', 'pg_operator', 'pg_opclass', 'pg_opfamily', 'pg_collation',
                'pg_conversion', 'pg_ts_config', 'pg_ts_dict', 'pg_publication_rel', 'pg_event_trigger'))
        GROUP BY 1, 2 HAVING NOT bool_or(deptype = 'e' OR deptype = 'i' AND classid <> 'pg_class'::regclass)) d
    LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
    LEFT JOIN pg_shdepend s ON s.classid = d.classid AND s.objid = d.objid AND s.deptype = 'o'
        AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    WHERE c.oid IS NULL OR c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
    UNION ALL
    SELECT 'pg_class'::regclass, attrelid, ' on column ' || attname, relowner, attacl
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attrelid >= 16384 AND attacl IS NOT NULL AND NOT attisdropped AND relpersistence <> 't'
        AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = attrelid AND deptype = 'e')
) AS found
CROSS JOIN LATERAL pg_identify_object(found.classid, found.objid, 0) AS identified
CROSS JOIN LATERAL (
    SELECT '' AS text UNION ALL
    SELECT privilege_type || ' to ' || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END
        || CASE WHEN is_grantable THEN ' with grant option' ELSE '' END
    FROM aclexplode(found.acl) WHERE grantee <> found.owner
) AS granted
WHERE found.part = '' OR granted.text <> ''
UNION ALL SELECT concat_ws(E'\t', 'server', current_setting('server_version_num')::int / 10000, '')

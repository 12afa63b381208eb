-- Set the default rights of NetPoint's role aside while a dump is put back, and note how they come back: a dump has the
-- rights that differ from PostgreSQL's own, and each new object would have these in addition.
DO $defaults$
DECLARE
    aside text;
    back text;
BEGIN
    WITH entry AS (
        SELECT coalesce(' IN SCHEMA ' || quote_ident(nspname), '') AS place, defaclobjtype AS kind, defaclacl AS acl,
            CASE WHEN n.oid IS NULL
                THEN acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) END AS usual
        FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
        WHERE pg_get_userbyid(defaclrole) = current_user AND defaclobjtype IN ('r', 'S', 'f', 'T')
    ), difference AS (
        SELECT place, kind, grantee, privilege_type, is_grantable, held.here FROM entry
        CROSS JOIN LATERAL (
            (SELECT grantee, privilege_type, is_grantable, true AS here FROM aclexplode(acl) EXCEPT
                SELECT grantee, privilege_type, is_grantable, true FROM aclexplode(usual))
            UNION ALL
            (SELECT grantee, privilege_type, is_grantable, false FROM aclexplode(usual) EXCEPT
                SELECT grantee, privilege_type, is_grantable, false FROM aclexplode(acl))
        ) AS held
    ), statement AS (
        SELECT gives = here AS is_back, gives, format('ALTER DEFAULT PRIVILEGES%s %s %s ON %s %s %s%s', place,
            CASE WHEN gives THEN 'GRANT' ELSE 'REVOKE' END, privilege_type,
            CASE kind WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END,
            CASE WHEN gives THEN 'TO' ELSE 'FROM' END,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
            CASE WHEN gives AND is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS text
        FROM difference, (VALUES (true), (false)) AS ways (gives)
    )
    SELECT string_agg(text, '; ' ORDER BY gives) FILTER (WHERE NOT is_back),
        string_agg(text, '; ' ORDER BY gives) FILTER (WHERE is_back)
        INTO aside, back FROM statement;
    IF aside IS NOT NULL THEN EXECUTE aside; END IF;
    PERFORM set_config('netpoint_remote.defaults', coalesce(back, ''), true);
END
$defaults$;

-- What the probe asks the database; one fact a statement, a failing one is simply not answered.
SELECT 'db.server_version_num=' || current_setting('server_version_num');
SELECT 'db.size_mb=' || pg_database_size(current_database()) / 1048576;
SELECT 'db.identity=' || system_identifier || '/' || current_database() FROM pg_control_system();
SELECT 'db.instance=' || extract(epoch FROM pg_postmaster_start_time()) || '/' || system_identifier || '/' || current_database() FROM pg_control_system();
SELECT 'db.can_create=' || has_schema_privilege(current_schema(), 'CREATE');
SELECT 'db.foreign_owned=' || count(*) FROM pg_tables WHERE schemaname = current_schema() AND tableowner <> current_user;
SELECT 'db.unreadable=' || format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) LIMIT 3;
SELECT 'db.unreadable=large object ' || oid FROM pg_largeobject_metadata WHERE NOT pg_has_role(current_user, lomowner, 'USAGE') LIMIT 1;
SELECT 'db.built_on=the view ' || format('%I.%I', n.nspname, v.relname) FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace JOIN pg_class t ON t.oid = d.refobjid WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND pg_has_role(current_user, t.relowner, 'USAGE') AND NOT pg_has_role(current_user, v.relowner, 'USAGE') GROUP BY 1 LIMIT 3;
SELECT 'db.built_on=the publication ' || p.pubname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class t ON t.oid = r.prrelid WHERE pg_has_role(current_user, t.relowner, 'USAGE') AND NOT pg_has_role(current_user, p.pubowner, 'USAGE') GROUP BY 1 LIMIT 3;
SELECT 'db.locked_by=' || application_name || coalesce(' from ' || host(client_addr), '') FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND classid = 1852797028 AND objid = 1919250799 AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
SELECT 'db.in_recovery=' || pg_is_in_recovery();
SELECT 'db.applied=' || app || '.' || name FROM django_migrations;
SELECT 'db.door=' || app || '.' || name FROM django_migrations WHERE app = 'dcim' AND name IN ('0130_sitegroup', '0182_zero_length_cable_fix');
SELECT 'db.duplicate_devices=' || count(*) FROM (SELECT lower(name) FROM dcim_device WHERE name IS NOT NULL GROUP BY lower(name), site_id, tenant_id HAVING count(*) > 1) AS twice;
SELECT 'db.duplicate_vms=' || count(*) FROM (SELECT lower(name) FROM virtualization_virtualmachine GROUP BY lower(name), cluster_id, tenant_id HAVING count(*) > 1) AS twice;
SELECT 'db.legacy_sites=' || count(*) FROM dcim_site WHERE asn IS NOT NULL OR contact_name <> '' OR contact_phone <> '' OR contact_email <> '';
SELECT 'db.legacy_providers=' || count(*) FROM circuits_provider WHERE asn IS NOT NULL OR noc_contact <> '' OR admin_contact <> '' OR portal_url <> '';

-- What the probe asks the database; one fact a statement, a failing one is simply not answered.
SELECT 'db.server_version_num=' || current_setting('server_version_num');
SELECT 'db.size_mb=' || pg_database_size(current_database()) / 1048576;
SELECT 'db.identity=' || system_identifier || '/' || current_database() FROM pg_control_system();
SELECT 'db.instance=' || extract(epoch FROM pg_postmaster_start_time()) || '/' || system_identifier || '/' || current_database() FROM pg_control_system();
SELECT 'db.can_create=' || has_schema_privilege(current_schema(), 'CREATE');
SELECT 'db.foreign_owned=' || count(*) FROM pg_tables WHERE schemaname = current_schema() AND tableowner <> current_user;
SELECT 'db.locked_by=' || application_name || coalesce(' from ' || host(client_addr), '') FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND classid = 1852797028 AND objid = 1919250799 AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
SELECT 'db.in_recovery=' || pg_is_in_recovery();
SELECT 'db.applied=' || app || '.' || name FROM django_migrations;
SELECT 'db.door=' || app || '.' || name FROM django_migrations WHERE app = 'dcim' AND name IN ('0130_sitegroup', '0182_zero_length_cable_fix');
SELECT 'db.duplicate_devices=' || count(*) FROM (SELECT lower(name) FROM dcim_device WHERE name IS NOT NULL GROUP BY lower(name), site_id, tenant_id HAVING count(*) > 1) AS twice;
SELECT 'db.duplicate_vms=' || count(*) FROM (SELECT lower(name) FROM virtualization_virtualmachine GROUP BY lower(name), cluster_id, tenant_id HAVING count(*) > 1) AS twice;
SELECT 'db.legacy_sites=' || count(*) FROM dcim_site WHERE asn IS NOT NULL OR contact_name <> '' OR contact_phone <> '' OR contact_email <> '';
SELECT 'db.legacy_providers=' || count(*) FROM circuits_provider WHERE asn IS NOT NULL OR noc_contact <> '' OR admin_contact <> '' OR portal_url <> '';

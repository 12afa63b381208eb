-- The sessions of NetPoint's role, one a line: process and port and address of its client, our own address, the database's, its age, the host and the port that lead there, the database's own port, its name.
BEGIN;
SET LOCAL ROLE NONE;
SELECT 'db.session=' || pid || ' ' || coalesce(client_port, -1) || ' ' || coalesce(host(client_addr), '-') || ' ' || coalesce(host(inet_client_addr()), '-') || ' ' || coalesce(host(inet_server_addr()), '-') || ' ' || (extract(epoch FROM now()) - extract(epoch FROM backend_start)) || ' ' || replace(:'HOST', ' ', '_') || ' ' || :'PORT' || ' ' || current_setting('port') || ' ' || application_name FROM pg_stat_activity WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid() AND application_name NOT LIKE 'netpoint-remote%' ORDER BY backend_start LIMIT 300;
COMMIT;

-- Fail unless all that is NetPoint's is there as it was dumped, and others have the same rights on it; note in
-- netpoint_remote.lost what others had built on it and is gone. A dump that has no list, or is of another major version of
-- PostgreSQL, is not compared.
DO $compare$
DECLARE
    differences text;
    lost text;
BEGIN
    WITH listed AS (
        SELECT moment, split_part(line, E'\t', 1) AS whose, split_part(line, E'\t', 2) AS object,
            split_part(line, E'\t', 3) AS granted
        FROM (VALUES ('saved'), ('before'), ('after')) AS moments (moment),
            regexp_split_to_table(current_setting('netpoint_remote.' || moment), E'\n') AS line
        WHERE line <> ''
    ), saved AS (
        SELECT * FROM listed WHERE moment = 'saved'
            AND EXISTS (SELECT object FROM listed WHERE moment = 'saved' AND whose = 'server'
                INTERSECT SELECT object FROM listed WHERE moment = 'after' AND whose = 'server')
    ), missing AS (
        SELECT whose, object, granted FROM saved EXCEPT
        SELECT wanted.whose, object, granted FROM listed, (VALUES ('own'), ('other'), ('server')) AS wanted (whose)
        WHERE moment = 'after'
    ), gained AS (
        SELECT object, granted FROM listed
        WHERE moment = 'after' AND whose = 'own' AND granted <> '' AND object IN (SELECT object FROM saved)
        EXCEPT SELECT object, granted FROM saved
    ), told AS (
        SELECT whose, object || CASE granted WHEN '' THEN ' is missing' ELSE ' lacks ' || granted END AS text
        FROM missing WHERE whose = 'own' OR (object, granted) IN (SELECT object, granted FROM listed WHERE moment = 'before')
        UNION ALL SELECT 'own', object || ' has gained ' || granted FROM gained
    )
    SELECT string_agg(text, ', ' ORDER BY text) FILTER (WHERE whose = 'own'),
        string_agg(text, ', ' ORDER BY text) FILTER (WHERE whose = 'other')
        INTO differences, lost FROM told;
    IF differences IS NOT NULL THEN
        RAISE EXCEPTION 'the restored database is not as it was: %', left(differences, 600);
    END IF;
    PERFORM set_config('netpoint_remote.lost', coalesce(left(lost, 600), ''), true);
END
$compare$;

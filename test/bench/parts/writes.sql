-- test/bench/parts/writes.sql
--
-- Writing: one table for each way to tell a cache.
CREATE TABLE w_none (id int PRIMARY KEY, v int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE w_attach (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE w_attach3 (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE w_row (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE w_delete (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE w_notify (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE w_nothing (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO w_none SELECT i, 0 FROM generate_series(1, 10000) i;
INSERT INTO w_attach TABLE w_none;
INSERT INTO w_attach3 TABLE w_none;
INSERT INTO w_row TABLE w_none;
INSERT INTO w_delete TABLE w_none;
INSERT INTO w_notify TABLE w_none;
INSERT INTO w_nothing TABLE w_none;

SELECT cache_attach('w_attach', 'student:{id}') \g /dev/null
SELECT cache_attach('w_attach3', 'student:{id}', 'course:{v}:*', 'analytics:*') \g /dev/null
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON w_row
    FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('student:{id}');

CREATE FUNCTION w_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM kv WHERE key = 'student:' || NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER cache AFTER UPDATE ON w_delete FOR EACH ROW EXECUTE FUNCTION w_delete();

CREATE FUNCTION w_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER cache AFTER UPDATE ON w_nothing FOR EACH ROW EXECUTE FUNCTION w_nothing();

CREATE FUNCTION w_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('cache', NEW.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER cache AFTER UPDATE ON w_notify FOR EACH ROW EXECUTE FUNCTION w_notify();

/* test/modules/cext_test/cext_test--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION cext_test" to load this file. \quit

CREATE FUNCTION cext_test_hold(point text) RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cext_test_hold(text) IS
	'stop those that reach this point, until cext_test_release()';

CREATE FUNCTION cext_test_release(point text) RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION cext_test_waiting(OUT pid integer, OUT point text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cext_test_waiting() IS
	'backends that are stopped, and where';

CREATE FUNCTION cext_test_setting() RETURNS integer
AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION cext_test_setting() IS
	'cext_test.query_jitter, read as an extension reads its own settings';

# Memory full, with eight clients storing more than it holds: no errors, no more
# memory than given, and what is a hit is right.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => qq{
cache_ext.memory = '4MB'
log_min_error_statement = panic
});
setup($node);
$node->safe_psql(
	'postgres', q{
	CREATE TABLE doc (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0);
	INSERT INTO doc SELECT generate_series(1, 2000);
	SELECT cache_attach('doc', 'doc:{id}:*');
	CREATE FUNCTION body(id integer, v integer) RETURNS text IMMUTABLE LANGUAGE sql AS
		$$SELECT repeat(md5(id || ' ' || v), 1 + id % 97)$$;
	CREATE FUNCTION read_doc(id integer) RETURNS void LANGUAGE plpgsql AS
	$$DECLARE
		got record;
	BEGIN
		SELECT * INTO STRICT got FROM cached_query('doc:' || id || ':body',
			'SELECT id, v, body(id, v) AS b FROM doc WHERE id = $1', 60, id) AS t(i integer, v integer, b text);
		IF got.i <> id OR got.b <> body(got.i, got.v) THEN
			RAISE 'wrong result for %: %', id, left(got.b, 100);
		END IF;
		IF (SELECT memory_used > memory_limit FROM cache_stats) THEN
			RAISE 'too much memory used';
		END IF;
	END$$;
});

my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/read", q{
	\set id random_zipfian(1, 2000, 1.1)
	SELECT read_doc(:id);
});
append_to_file("$dir/write", q{
	\set id random(1, 2000)
	UPDATE doc SET v = v + 1 WHERE id = :id;
});
append_to_file("$dir/value", q{
	\set id random(1, 300)
	SELECT cache_set('value:' || :id, to_jsonb(repeat(:id::text, 3000)), 60);
	SELECT 1 / (cache_get('value:' || :id) IS NULL OR cache_get('value:' || :id) = to_jsonb(repeat(:id::text, 3000)))::integer;
});
# larger than anything that fits
append_to_file("$dir/huge", q{
	\set n random(1000000, 4000000)
	SELECT 1 / (length(cached_json('huge:' || :n % 5, 'SELECT repeat(''x'', $1) AS x', 60, :n)->0->>'x') = :n)::integer;
});
append_to_file("$dir/scan", q{SELECT count(*) FROM cache_entries});
$node->command_ok(
	[
		'pgbench', '-n', '-c', 8, '-j', 2, '-t', 2500,
		'-f', "$dir/read\@100", '-f', "$dir/write\@5", '-f', "$dir/value\@10",
		'-f', "$dir/huge\@1", '-f', "$dir/scan\@1", 'postgres'
	],
	'eight clients, no errors');

note $node->safe_psql('postgres', q{
	SELECT format('%s entries, %s of %s bytes, %s hits, %s misses, %s fills, %s evictions',
		entries, memory_used, memory_limit, hits, misses, fills, evictions) FROM cache_stats});
is( $node->safe_psql('postgres', q{
	SELECT memory_used <= memory_limit, memory_limit < 4194304, memory_used > memory_limit / 2,
		evictions > 100, hits > misses / 10, errors = 0
	FROM cache_stats}),
	't|t|t|t|t|t', 'memory was full, within its limit, and of use');

# a pinned entry would stay: what is used is what the entries take
is( $node->safe_psql('postgres', q{
	SELECT memory_used - (SELECT sum(ceil(size / 256.0)) * 256 FROM cache_entries) FROM cache_stats}),
	'0', 'nothing is leaked');
is($node->safe_psql('postgres', 'SELECT count(read_doc(id)) FROM doc'), '2000', 'all right at the end');

# Rows that are in pieces all over the memory are put together to be read, again
# and again where a join asks for them all again, in memory that does not grow.
$node->safe_psql('postgres', q{
	SELECT cache_clear();
	SELECT cache_set(i::text, to_jsonb(repeat('x', 300)), 600) FROM generate_series(1, 20000) i;
	SELECT cache_delete(i::text) FROM generate_series(1, 20000, 2) i;
	CREATE FUNCTION memory_now() RETURNS bigint LANGUAGE plpgsql AS
		$$BEGIN RETURN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts); END$$;
});
is( $node->safe_psql('postgres', q{
	SELECT count(*) FROM cached_query('pieces', 'SELECT body(60, i) FROM generate_series(1, 3) i', 600) t(b text);
	SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
	SELECT max(m) - min(m) < 200000, sum(length(b)) FROM (
		SELECT CASE WHEN g IN (100, 2000) THEN memory_now() END, b FROM generate_series(1, 2000) g
			LEFT JOIN cached_query('pieces', 'SELECT body(60, i) FROM generate_series(1, 3) i', 600) t(b text)
			ON g <> length(b)) AS x(m, b);
	SELECT status FROM cache_last_status()}),
	"3\nt|11706144\nhit", 'rows read again take no more memory');
$node->stop;

# Second chances are given with a lock held, so not to everybody in one go: when
# all have been hit, the first to be evicted is not the oldest, which would mean
# that all were gone through.
my $bounded = new_node('bounded', conf => qq{
cache_ext.memory = '4MB'
});
$bounded->safe_psql(
	'postgres', q{
	CREATE EXTENSION cache_ext;
	CREATE TABLE gone (id integer);
	DO $$
	DECLARE
		n integer := 0;
	BEGIN
		LOOP
			FOR i IN 1 .. 20 LOOP
				n := n + 1;
				-- a miss, and a hit
				PERFORM cached_json(n::text, 'SELECT 1', 600);
				PERFORM cached_json(n::text, 'SELECT 1', 600);
			END LOOP;
			EXIT WHEN (SELECT evictions FROM cache_stats) > 0;
		END LOOP;
		INSERT INTO gone SELECT g FROM generate_series(1, n) g
			WHERE NOT EXISTS (SELECT FROM cache_entries WHERE key = g::text);
	END$$;
});
is($bounded->safe_psql('postgres', 'SELECT min(id) > 200 FROM gone'),
	't', 'not everybody gets a second chance at once');
note $bounded->safe_psql('postgres', 'SELECT min(id), count(*) FROM gone');
$bounded->stop;
done_testing();

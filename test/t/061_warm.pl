# Warm jobs: run by workers as the role of the job, for each row of a parameter
# query, tried again when they fail; and nobody writes a job for a role that he
# cannot become.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('main');
setup($node);
$node->safe_psql(
	'postgres', q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE team NOLOGIN;
	CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	GRANT team TO alice;
	GRANT SELECT ON item TO alice;
	GRANT INSERT, UPDATE, DELETE ON cache_warm_job TO alice, bob;
	CREATE SCHEMA app;
	CREATE TABLE app.late (v integer);
	GRANT USAGE ON SCHEMA app TO alice;
	GRANT SELECT ON app.late TO alice;
});

sub wait_job
{
	my ($job, $state, $runs) = @_;

	$runs //= 1;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM cache_warm_progress WHERE job = '$job' AND state = '$state' AND runs >= $runs")
	  or die "job $job is never $state: " . $node->safe_psql('postgres', 'TABLE cache_warm_progress');
	return;
}

# A job that fails is tried again after a second, and shows less while it runs: so
# wait until it shows this.
sub shows
{
	my ($job, $columns, $expected, $name) = @_;

	ok($node->poll_query_until('postgres', "SELECT $columns FROM cache_warm_progress WHERE job = '$job'", $expected), $name)
	  or diag($node->safe_psql('postgres', 'TABLE cache_warm_progress'));
	return;
}

sub as
{
	my ($role, $sql) = @_;
	my ($out, $err);

	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ],
		on_error_stop => 1);
	return $err ne '' ? $err : $out;
}

# a job of one entry, typed parameters, untyped ones, rows
as('alice', q{
	INSERT INTO cache_warm_job (name, key, query, ttl)
		VALUES ('one', 'one', 'SELECT count(*) AS n FROM item', '1 h');
	INSERT INTO cache_warm_job (name, key, query, ttl, parameters)
		VALUES ('typed', 'item:{id}:{day}', 'SELECT v, $2 AS day FROM item WHERE id = $1', '1 h',
			'SELECT id, date ''2026-01-02'' + 0 AS day FROM item WHERE id <= 3');
	INSERT INTO cache_warm_job (name, key, query, ttl, parameters, untyped)
		VALUES ('untyped', 'u:{id}', 'SELECT v FROM item WHERE id = $1', 'long', 'SELECT id FROM item', true);
	INSERT INTO cache_warm_job (name, key, query, ttl, form, settings)
		VALUES ('rows', 'rows', 'SELECT v::text || current_setting(''app.tenant'') AS v FROM item WHERE id = 1', '1 h', 'rows',
			'{app.tenant=seven,application_name=job}');
});
wait_job($_, 'done') for qw(one typed untyped rows);
is(as('alice', q{SELECT job, total, done, failed FROM cache_warm_progress ORDER BY job}),
	"one|1|1|0\nrows|1|1|0\ntyped|3|3|0\nuntyped|10|10|0", 'all done');
is(as('alice', q{SELECT cached_json('one', 'SELECT count(*) AS n FROM item', '1 h'), (cache_last_status()).status}),
	'[{"n": 10}]|hit', 'one is warm');
is(as('alice', q{SET DateStyle = 'German'; SET DateStyle = 'ISO, MDY';
	SELECT cached_json('item:2:2026-01-02', 'SELECT v, $2 AS day FROM item WHERE id = $1', '1 h', 2, date '2026-01-02'), (cache_last_status()).status}),
	'[{"v": 1, "day": "2026-01-02"}]|hit', 'typed parameters');
is(as('alice', q{SELECT cached_json('u:10', 'SELECT v FROM item WHERE id = $1', 'long', VARIADIC ARRAY['10']), (cache_last_status()).status}),
	'[{"v": 1}]|hit', 'untyped parameters');
is(as('bob', q{SELECT count(*) FROM cache_warm_progress; SELECT count(*) FROM cache_warm_job}), "0\n0", 'others see nothing of it');
is(as('monitor', q{SELECT count(*) FROM cache_warm_progress; SELECT count(*) FROM cache_warm_job}), "4\n4", 'monitoring does');

# invalidation reaches what a job has filled
$node->safe_psql('postgres', 'UPDATE item SET v = 5 WHERE id = 2');
like(as('alice', q{SELECT cached_json('item:2', 'SELECT v FROM item WHERE id = 2', '1 h'), (cache_last_status()).status}),
	qr/5.*miss/, 'the trigger works as ever');

# escalation
for my $sql (
	q{INSERT INTO cache_warm_job (name, role, key, query) VALUES ('evil', 'postgres', 'k', 'SELECT 1')},
	q{INSERT INTO cache_warm_job (name, role, key, query) VALUES ('evil', 'alice', 'k', 'SELECT 1')},
	q{INSERT INTO cache_warm_job (name, key, query) VALUES ('mine', 'k', 'SELECT 1'); UPDATE cache_warm_job SET role = 'alice' WHERE name = 'mine'})
{
	like(as('bob', $sql), qr/violates row-level security/, 'not for a role that he cannot become');
}
as('bob', q{UPDATE cache_warm_job SET query = 'SELECT 2' WHERE name = 'one'; DELETE FROM cache_warm_job WHERE name = 'one'});
is($node->safe_psql('postgres', q{SELECT count(*) FROM cache_warm_job WHERE name = 'one' AND query ~ 'count'}), '1', 'nor change one');
like(as('bob', q{SELECT cache_warm('one')}), qr/permission denied/, 'cache_warm is granted');
is(as('alice', q{INSERT INTO cache_warm_job (name, role, key, query) VALUES ('team', 'team', 'k', 'SELECT 1')}), '', 'a role that she can become');

# ... which cannot log in, so its job fails, and says why
wait_job('team', 'retrying');
like(as('alice', q{SELECT error FROM cache_warm_progress WHERE job = 'team'}), qr/could connect as the role/, 'a role without LOGIN');
as('alice', q{DELETE FROM cache_warm_job WHERE name = 'team'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM cache_warm_progress WHERE job = 'team'});

# a row that the table's owner forged for a role he is not does not run
$node->safe_psql('postgres', q{
	CREATE ROLE owner LOGIN;
	CREATE TABLE ran (who text);
	CREATE FUNCTION trace() RETURNS integer STABLE LANGUAGE plpgsql AS $$BEGIN RAISE LOG 'trace of %', current_user; RETURN 1; END$$;
	ALTER TABLE cache_warm_job OWNER TO owner});
as('owner', q{INSERT INTO cache_warm_job (name, role, key, query) VALUES ('forged', 'postgres', 'k', 'SELECT trace()'),
	('own', 'owner', 'k', 'SELECT trace()')});
wait_job('own', 'done');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cache_warm_progress WHERE job = 'forged'}), '0', 'forged: not taken');
unlike(slurp($node->logfile), qr/trace of postgres/, 'forged: did not run');
like(slurp($node->logfile), qr/trace of owner/, 'own: ran');
$node->safe_psql('postgres', q{DELETE FROM cache_warm_job WHERE name IN ('forged', 'own'); ALTER TABLE cache_warm_job OWNER TO postgres});

# retry, until it works; what worked is not done again
as('alice', q{INSERT INTO cache_warm_job (name, key, query, ttl, parameters)
	VALUES ('late', 'late:{n}', 'SELECT 1 / (SELECT count(*) FROM app.late WHERE v <= $1) AS v', '1 h', 'SELECT n FROM generate_series(1, 2) n')});
shows('late', 'state, total, done, failed, error', 'retrying|2|0|2|division by zero', 'failed');
$node->safe_psql('postgres', 'INSERT INTO app.late VALUES (2)');
shows('late', 'state, done, failed, runs > 1', 'retrying|1|1|t', 'one works');
my $created = as('alice', q{SELECT created FROM cache_entries WHERE key = 'late:2'});
$node->safe_psql('postgres', 'UPDATE app.late SET v = 1');
wait_job('late', 'done', 3);
is(as('alice', q{SELECT done, failed, error IS NULL FROM cache_warm_progress WHERE job = 'late'}), '2|0|t', 'both do');
is(as('alice', q{SELECT created FROM cache_entries WHERE key = 'late:2'}), $created, 'the first was not computed twice');

# now, and again and again
$created = as('alice', q{SELECT created FROM cache_entries WHERE key = 'one'});
$node->safe_psql('postgres', q{SELECT cache_warm('one')});
$node->poll_query_until('postgres', "SELECT created > '$created' FROM cache_entries WHERE key = 'one'")
  or die 'cache_warm did nothing';
pass('cache_warm runs it');
$node->safe_psql('postgres', q{UPDATE cache_warm_job SET every = '1 s' WHERE name = 'one'});
wait_job('one', 'done', 4);
pass('a schedule runs it');
$node->safe_psql('postgres', q{UPDATE cache_warm_job SET enabled = false WHERE name = 'one'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM cache_warm_progress WHERE job = 'one'})
  or die 'it is still there';
pass('until it is disabled');
my (undef, undef, $err) = $node->psql('postgres', q{SELECT cache_warm('none')});
like($err, qr/there is no warm job "none"/, 'no such job');

# while it runs: how far it is; asked for again, and changed, it runs again; without
# its row it is forgotten
$node->safe_psql('postgres', q{
	CREATE FUNCTION slow(n integer) RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN IF n > 1 THEN PERFORM pg_advisory_xact_lock_shared(n); END IF; RETURN n; END$$});
my $holder = session($node);
sub wait_running
{
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'cache_ext worker' AND wait_event = 'advisory'})
	  or die 'the job does not wait';
	return;
}
$holder->query_safe('SELECT pg_advisory_lock(2)');
as('alice', q{INSERT INTO cache_warm_job (name, key, query, ttl, parameters)
	VALUES ('held', 'held:{n}', 'SELECT slow($1)', '1 h', 'SELECT n FROM generate_series(1, 3) n')});
wait_running();
is(as('alice', q{SELECT state, total, done, failed, eta > '0', started < now(), finished IS NULL, next_run IS NULL, runs
	FROM cache_warm_progress WHERE job = 'held'}), 'running|3|1|0|t|t|t|t|0', 'the progress of a job that runs');
$node->safe_psql('postgres', q{SELECT cache_warm('held')});
is(as('alice', q{SELECT state, runs FROM cache_warm_progress WHERE job = 'held'}), 'running|0', 'asked for meanwhile: not at once');
$holder->query_safe('SELECT pg_advisory_unlock(2)');
wait_job('held', 'done', 2);
is(as('alice', q{SELECT total, done, eta IS NULL, runs FROM cache_warm_progress WHERE job = 'held'}), '3|3|t|2', '... but afterwards');
$holder->query_safe('SELECT pg_advisory_lock(2)');
$node->safe_psql('postgres', q{SELECT cache_warm('held')});
wait_running();
as('alice', q{UPDATE cache_warm_job SET ttl = '2 h' WHERE name = 'held'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'cache_ext worker' AND usename IS NULL});
$holder->query_safe('SELECT pg_advisory_unlock(2)');
$node->poll_query_until('postgres', q{SELECT max(expires) > now() + '90 min' FROM cache_entries WHERE key = 'held:3'})
  or die 'the change was lost';
wait_job('held', 'done', 4);
pass('changed while it runs: runs again');
$holder->query_safe('SELECT pg_advisory_lock(2)');
$node->safe_psql('postgres', q{SELECT cache_warm('held')});
wait_running();
as('alice', q{DELETE FROM cache_warm_job WHERE name = 'held'});
$holder->query_safe('SELECT pg_advisory_unlock(2)');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM cache_warm_progress WHERE job = 'held'})
  or die 'a job without a row';
pass('deleted while it runs: forgotten');
$holder->quit;

# there is an end to how many there can be, in all databases, until one of those is dropped
$node->safe_psql('postgres', 'CREATE DATABASE many');
$node->safe_psql('many', q{CREATE EXTENSION cache_ext;
	INSERT INTO cache_warm_job (name, key, query) SELECT 'job' || g, 'k' || g, 'SELECT 1' FROM generate_series(1, 300) g});
$node->wait_for_log(qr/too many warm jobs/);
$node->safe_psql('postgres', q{INSERT INTO cache_warm_job (name, key, query) VALUES ('more', 'more', 'SELECT 1')});
my (undef, undef, $full) = $node->psql('postgres', q{SELECT cache_warm('more')});
like($full, qr/too many warm jobs/, 'too many jobs');
$node->append_conf('postgresql.conf', 'cache_ext.worker_naptime = 1');
$node->reload;
$node->safe_psql('postgres', 'DROP DATABASE many');
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if $node->psql('postgres', q{SELECT cache_warm('more')}) == 0;
	usleep(100_000);
}
wait_job('more', 'done');
pass('the jobs of a dropped database are forgotten');
$node->safe_psql('postgres', q{DELETE FROM cache_warm_job WHERE name = 'more'});

# time out
$node->safe_psql('postgres', q{
	CREATE ROLE hasty LOGIN;
	ALTER ROLE hasty SET statement_timeout = '100 ms';
	INSERT INTO cache_warm_job (name, role, key, query, ttl) VALUES ('endless', 'hasty', 'endless', 'SELECT pg_sleep(1000)', '1 h')});
shows('endless', q{state, error ~ 'statement timeout'}, 'retrying|t', 'statement_timeout of the role');
$node->safe_psql('postgres', q{DELETE FROM cache_warm_job WHERE name = 'endless'});

# a job that can never be stored, or has nonsense in it, fails and says why
as('alice', q{INSERT INTO cache_warm_job (name, key, query, ttl, parameters) VALUES
	('volatile', 'k', 'SELECT random()', NULL, NULL),
	('column', 'k:{nothing}', 'SELECT 1', NULL, 'SELECT 1 AS one'),
	('write', 'k', 'SELECT 1', NULL, 'DELETE FROM app.late'),
	('ttl', 'k', 'SELECT 1', 'nonsense', NULL)});
shows('column', q{state, error ~ 'column "nothing" of the key'}, 'retrying|t', 'a column that there is not');
shows('ttl', q{state, error ~ '^invalid time to live'}, 'retrying|t', 'a time to live that is none');
shows('volatile', q{state, error ~ 'could not be stored'}, 'retrying|t', 'what cannot be stored');
shows('write', q{state, error <> ''}, 'retrying|t', 'parameters that are no query');

# they are dumped, and start again with the server
my ($dump) = PostgreSQL::Test::Utils::run_command([ 'pg_dump', '-p', $node->port, '-h', $node->host, 'postgres' ]);
like($dump, qr/^untyped\talice\tu:\{id\}\t/m, 'pg_dump keeps them');
$node->restart;
wait_job('untyped', 'done');
is(as('alice', q{SELECT cached_json('u:9', 'SELECT v FROM item WHERE id = $1', 'long', VARIADIC ARRAY['9']), (cache_last_status()).status}),
	'[{"v": 1}]|hit', 'warm after a restart');

$node->stop;
done_testing();

sub slurp
{
	return PostgreSQL::Test::Utils::slurp_file(@_);
}

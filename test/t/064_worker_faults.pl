# What goes wrong around the background workers, and must not stop them: the
# launcher ends while they work, others ask for a refresh meanwhile, somebody
# tries to drop a database that is not his.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('main', conf => "cache_ext.worker_timeout = 0\n");
setup($node);
$node->safe_psql(
	'postgres', q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE creator LOGIN CREATEDB;
	CREATE ROLE gone LOGIN;
	GRANT SELECT ON item TO alice;
	GRANT INSERT, UPDATE, DELETE ON cache_warm_job TO alice, gone;
	CREATE FUNCTION held(n integer) RETURNS integer STABLE LANGUAGE plpgsql AS
		$$BEGIN IF n > 1 THEN PERFORM pg_advisory_xact_lock_shared(n); END IF; RETURN n; END$$;
	CREATE FUNCTION fail(message text) RETURNS integer STABLE LANGUAGE plpgsql AS
		$$BEGIN RAISE EXCEPTION '%', message; END$$;
	INSERT INTO cache_policy (name, key_pattern, ttl, stale_while_revalidate) VALUES ('stale', 'stale:*', '0.2 s', '1 h');
	CREATE DATABASE template IS_TEMPLATE true;
});
my $holder = session($node);

sub as
{
	my ($role, $sql, $db) = @_;
	my ($out, $err);

	$node->psql($db // 'postgres', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);
	return $err ne '' ? $err : $out;
}

sub wait_for
{
	my ($sql, $what, $db) = @_;

	$node->poll_query_until($db // 'postgres', $sql)
	  or die "$what: " . $node->safe_psql($db // 'postgres', 'TABLE cache_warm_progress');
	return;
}

sub wait_held
{
	wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'cache_ext worker' AND wait_event = 'advisory'}, 'the job does not wait');
	return;
}

# a job that stops at its second and third entry; a new one, whose runs are counted from one
sub start_held
{
	as('alice', q{DELETE FROM cache_warm_job});
	wait_for(q{SELECT count(*) = 0 FROM cache_warm_progress}, 'jobs are still there');
	$holder->query_safe('SELECT pg_advisory_lock(2), pg_advisory_lock(3)');
	as('alice', q{INSERT INTO cache_warm_job (name, key, query, ttl, parameters)
		VALUES ('held', 'held:{n}', 'SELECT held($1)', '1 h', 'SELECT n FROM generate_series(1, 3) n')});
	wait_held();
	return;
}

# who asks for a refresh while a job of the same role runs, gets it before the job's end
start_held();
as('alice', q{SELECT cached_json('stale:1', 'SELECT v FROM item WHERE id = 1', NULL); SELECT pg_sleep(0.3)});
my $created = as('alice', q{SELECT created FROM cache_entries WHERE key = 'stale:1'});
like(as('alice', q{SELECT cached_json('stale:1', 'SELECT v FROM item WHERE id = 1', NULL); SELECT status FROM cache_last_status()}),
	qr/stale$/, 'asked for');
is(as('alice', q{SELECT created FROM cache_entries WHERE key = 'stale:1'}), $created, 'not done while the worker waits');
$holder->query_safe('SELECT pg_advisory_unlock(2)');
wait_for(qq{SELECT count(*) = 1 FROM cache_entries WHERE key = 'stale:1' AND created > '$created'}, 'not refreshed');
is(as('alice', q{SELECT state, done FROM cache_warm_progress WHERE job = 'held'}), 'running|2', 'refreshed between the entries of a job');

# the launcher ends while the worker works
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher'});
wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher'}, 'no launcher');
is(as('alice', q{SELECT state, done FROM cache_warm_progress WHERE job = 'held'}), 'running|2', 'the launcher ends, the job goes on');
$holder->query_safe('SELECT pg_advisory_unlock(3)');
wait_for(q{SELECT state = 'done' FROM cache_warm_progress WHERE job = 'held'}, 'not done');
wait_for(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'cache_ext worker'}, 'workers');
as('alice', q{INSERT INTO cache_warm_job (name, key, query, ttl) VALUES ('next', 'next', 'SELECT 1', '1 h')});
wait_for(q{SELECT count(*) = 1 FROM cache_warm_progress WHERE job = 'next' AND state = 'done'}, 'the role gets no worker');
pass('the next launcher starts workers for the same role');

# ... and a worker that ends between two launchers has not finished its job
start_held();
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher'});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'cache_ext worker'});
$holder->query_safe('SELECT pg_advisory_unlock(2), pg_advisory_unlock(3)');
wait_for(q{SELECT count(*) = 1 FROM cache_warm_progress WHERE job = 'held' AND state = 'done' AND runs = 2}, 'it is not tried again');
pass('a job whose worker ended with the launcher is tried again');

# who may not drop, change or copy a database ends nobody's work there
start_held();
like(as('bob', 'DROP DATABASE postgres', 'template1'), qr/must be owner/, 'DROP DATABASE of another');
like(as('bob', 'ALTER DATABASE postgres CONNECTION LIMIT 5', 'template1'), qr/must be owner/, 'ALTER DATABASE of another');
like(as('creator', 'CREATE DATABASE copy TEMPLATE postgres', 'template1'), qr/permission denied to copy/, 'a copy of another');
like(as('bob', 'CREATE DATABASE copy TEMPLATE template', 'template1'), qr/permission denied to create/, 'without CREATEDB');
is(as('alice', q{SELECT state, done FROM cache_warm_progress WHERE job = 'held'}), 'running|1', 'the job runs');
$holder->query_safe('SELECT pg_advisory_unlock(2), pg_advisory_unlock(3)');
wait_for(q{SELECT count(*) = 1 FROM cache_warm_progress WHERE job = 'held' AND state = 'done' AND runs = 1}, 'it was stopped');
pass('and ends well');

# ... but a worker in a template is in nobody's way, whoever may copy it
$node->safe_psql('template', q{CREATE EXTENSION cache_ext; CREATE FUNCTION held() RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_sleep(60); RETURN 1; END$$;
	INSERT INTO cache_warm_job (name, key, query) VALUES ('long', 'long', 'SELECT held()')});
wait_for(q{SELECT count(*) = 1 FROM cache_warm_progress WHERE state = 'running'}, 'no worker', 'template');
is(as('creator', 'CREATE DATABASE copy TEMPLATE template', 'template1'), '', 'CREATE DATABASE from a template with a worker in it');
$node->safe_psql('postgres', 'DROP DATABASE copy WITH (FORCE)');

# one that is told to leave while it connects is not one that could not
my $creator = session($node);
$creator->query_safe('CREATE DATABASE left_alone');
$node->safe_psql('left_alone', q{CREATE EXTENSION cache_ext;
	INSERT INTO cache_warm_job (name, role, key, query) VALUES ('left', 'bob', 'left', 'SELECT 1')});
wait_for(q{SELECT state = 'done' FROM cache_warm_progress WHERE job = 'left'}, 'not done', 'left_alone');
my $asker = $node->background_psql('left_alone', on_error_stop => 0);
$asker->query_safe(q{SELECT cache_warm('left')});
wait_for(q{SELECT state = 'done' AND runs = 2 FROM cache_warm_progress WHERE job = 'left'}, 'not done again', 'left_alone');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'cache_ext worker' AND datname = 'left_alone'});
# both know by now of the roles that matter, and need not look
$holder->query_safe('BEGIN; LOCK pg_authid IN ACCESS EXCLUSIVE MODE');
$asker->query_safe(q{SELECT cache_warm('left')});
$asker->quit;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if $holder->query_safe(q{SELECT count(*) FROM pg_locks WHERE relation = 'pg_authid'::regclass AND NOT granted}) > 0;
	usleep(100_000);
}
$creator->query_safe('CREATE DATABASE copy TEMPLATE left_alone');
$holder->query_safe('COMMIT');
wait_for(q{SELECT state = 'done' AND runs > 2 FROM cache_warm_progress WHERE job = 'left'}, 'not done at last', 'left_alone');
is($node->safe_psql('left_alone', q{SELECT runs FROM cache_warm_progress WHERE job = 'left'}), '3', 'told to leave while it connects: nothing has failed');
$creator->query_safe('DROP DATABASE copy WITH (FORCE)');
$creator->query_safe('DROP DATABASE left_alone WITH (FORCE)');
$creator->quit;

# a long message is cut between characters
as('alice', q{INSERT INTO cache_warm_job (name, key, query) VALUES ('cut', 'cut', $$SELECT fail(repeat('é', 200))$$)});
ok($node->poll_query_until('postgres', q{SELECT error = repeat('é', 127) FROM cache_warm_progress WHERE job = 'cut'}),
	'a long message');

# jobs of a role that is gone do not run, and are not dumped: elsewhere its number may be another's
as('gone', q{INSERT INTO cache_warm_job (name, key, query) VALUES ('orphan', 'orphan', 'SELECT 1')});
$node->safe_psql('postgres', q{REVOKE ALL ON cache_warm_job FROM gone; DROP ROLE gone});
my ($dump) = PostgreSQL::Test::Utils::run_command([ 'pg_dump', '-p', $node->port, '-h', $node->host, 'postgres' ]);
like($dump, qr/^cut\talice\t/m, 'pg_dump keeps jobs');
unlike($dump, qr/^orphan\t/m, 'but those of nobody');

# the owner of a database can dump it, but not others' jobs
$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER alice');
$node->safe_psql('owned', 'CREATE EXTENSION cache_ext');
$node->command_ok([ 'pg_dump', '-U', 'alice', '--exclude-table-data=*.cache_warm_job', '-f', '/dev/null', $node->connstr('owned') ],
	'pg_dump by the owner of the database');
$node->command_fails_like([ 'pg_dump', '-U', 'alice', '-f', '/dev/null', $node->connstr('owned') ],
	qr/row-level security policy for table "cache_warm_job"/, 'who does not get the jobs of others');

# a table that could not be read is read later
$node->append_conf('postgresql.conf', "cache_ext.worker_timeout = '100 ms'\ncache_ext.worker_naptime = 1");
$node->reload;
$node->safe_psql('postgres', q{
	ALTER TABLE cache_warm_job DISABLE TRIGGER cache_warm_job_changed;
	INSERT INTO cache_warm_job (name, key, query) VALUES ('unread', 'unread', 'SELECT 1');
	ALTER TABLE cache_warm_job ENABLE ALWAYS TRIGGER cache_warm_job_changed});
$holder->query_safe('BEGIN; LOCK TABLE cache_warm_job');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher'});
$node->wait_for_log(qr/could not read warm jobs: canceling statement/);
$node->append_conf('postgresql.conf', 'cache_ext.worker_timeout = 0');
$node->reload;
$holder->query_safe('COMMIT');
wait_for(q{SELECT count(*) = 1 FROM cache_warm_progress WHERE job = 'unread' AND state = 'done'}, 'it is not read');
pass('jobs that could not be read are read later');

# no process to be had: said once
$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->restart;
as('alice', q{DELETE FROM cache_warm_job; INSERT INTO cache_warm_job (name, key, query) VALUES ('none', 'none', 'SELECT 1')});
$node->wait_for_log(qr/LOG:.*could not register background worker of cache_ext/);
pass('no process to be had is logged');

$holder->quit;
$node->stop;
done_testing();

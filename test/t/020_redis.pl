# Results in Redis: found there after a clean restart, and by nobody else's
# server, role, tenant or database; dead after a crash, a copy of the data
# directory, a promotion, and any invalidation before or after a restart.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

plan skip_all => redis_missing() if defined redis_missing();

my $redis = CextRedis->new('main');

# all that docs/redis.md says is needed
$redis->cli(split / /, 'ACL SETUSER cache on >password ~cache_ext:* -@all +get +set');
my $conf = sprintf qq{
cache_ext.redis_url = '%s'
cache_ext.redis_timeout = 60s
cache_ext.redis_connect_timeout = 60s
cache_ext.identity_settings = 'app.tenant'
cache_ext.save_entries = off
}, $redis->url =~ s{//}{//cache:password\@}r;
my $node = new_node('main', conf => $conf, allows_streaming => 1);
my $shutdown = 0;

setup($node);
$node->safe_psql('postgres', q{
	UPDATE item SET v = id * 100;
	CREATE TABLE plain (id integer, t text);
	INSERT INTO plain SELECT g, repeat('x', g) FROM generate_series(1, 3) g;
	SELECT cache_attach('plain');
	CREATE ROLE reader;
	GRANT SELECT ON plain TO reader;
	CREATE FUNCTION tenant() RETURNS text STABLE LANGUAGE sql AS $$SELECT current_setting('app.other', true)$$});

# A row filled, and found there again without shared memory.
sub fill
{
	my ($id, $v, $what) = @_;

	is(read_tier($node, $id), "$v|miss", "$what: filled");
	return;
}

is($node->safe_psql('postgres', 'SHOW cache_ext.storage'), 'tiered', 'tiered with an URL');

# --- keys as documented, time to live, tiers

fill(1, 100, 'first');
is(read_tier($node, 1), '100|shared_memory', 'tiered: from shared memory');
is($node->safe_psql('postgres', q{SET cache_ext.storage = 'redis';} . tier(1)),
	'100|shared_memory', 'storage = redis reads what is in memory');
my @keys = $redis->keys;
is(scalar(@keys), 1, 'one entry in Redis');
like($keys[0], qr/^cache_ext:postgres:item:1:[0-9a-f]{32}$/, 'its name');
my $left = $redis->cli('PTTL', $keys[0]);
ok($left > 0 && $left <= 600_000, "it expires ($left ms)");
is($node->safe_psql('postgres', q{
	SET cache_ext.storage = 'shared_memory';
	SELECT cached_json('memory', 'SELECT 1', 60);
	SET cache_ext.storage = 'redis';
	SELECT cached_json('redis', 'SELECT 1', 60);
	SELECT (cache_last_status()).stored;
	SELECT cached_json('redis', 'SELECT 1', 60);
	SELECT (cache_last_status()).tier;
	RESET cache_ext.storage;
	SELECT cached_json('redis', 'SELECT 1', 60);
	SELECT (cache_last_status()).tier;
	SELECT cached_json('redis', 'SELECT 1', 60);
	SELECT (cache_last_status()).tier}),
	join("\n", '[{"?column?": 1}]', '[{"?column?": 1}]', 't', '[{"?column?": 1}]', 'redis',
		'[{"?column?": 1}]', 'redis', '[{"?column?": 1}]', 'shared_memory'),
	'shared_memory, redis, tiered, which takes over what it finds');
is(join(' ', map { /^cache_ext:postgres:(\w+)/ } $redis->keys), 'item redis', 'what is where');
is($node->safe_psql('postgres', q{
	SELECT redis_writes > 0, redis_hits, redis_misses > 0, redis_errors, redis_state FROM cache_stats}),
	't|2|t|0|closed', 'counted');

# every form: rows with nulls, toasted columns, no rows, arguments; a set value
my @forms = (
	q{SELECT count(*), sum(length(t)) FROM cached_rows(NULL::plain, 'rows', 'SELECT id, CASE WHEN id > 1 THEN repeat(md5(id::text), 2000 * id) END FROM plain', 600)},
	q{SELECT * FROM cached_query('none', 'SELECT id, t FROM plain WHERE false', 600) AS t(id integer, t text)},
	q{SELECT * FROM cached_query('args', 'SELECT id, t FROM plain WHERE id = $1 AND t = $2', 600, 2, 'xx'::text) AS t(id integer, t text)},
	q{SELECT cached_json('json', 'SELECT id, t FROM plain ORDER BY id', 600)},
	q{SELECT cached_json('varies', 'SELECT tenant() AS t, count(*) FROM plain', 600)},
);
my @first = map { $node->safe_psql('postgres', "SET app.other = 'one'; $_") } @forms;
wait_worker($node) or die 'no worker';
$node->safe_psql('postgres', q{SELECT cache_set('value', '{"a": [1, 2]}', 600)});
for my $how ('off', 'pglz', 'lz4', 'zstd')
{
	my ($rc, $out, $err) = $node->psql('postgres', "SET cache_ext.compression = '$how'");

	if ($rc != 0) { note "$how is not built in"; next }
	for my $i (0 .. $#forms)
	{
		my ($status, $tier) = map { $node->safe_psql('postgres', "SET app.other = 'one'; SET cache_ext.storage = 'redis';"
			. "SET cache_ext.compression = '$how'; SET cache_ext.enable_reads = $_; $forms[$i];"
			. 'SELECT coalesce((cache_last_status()).tier, (cache_last_status()).status)') } 'off', 'on';

		is($status, join("\n", grep { $_ ne '' } $first[$i], 'bypass'), "$how, form $i: stored");
		is($tier, join("\n", grep { $_ ne '' } $first[$i], 'shared_memory'), "$how, form $i: read");
	}
}
my %size;
for my $how ('off', 'pglz', 'lz4')
{
	$node->safe_psql('postgres', "SET cache_ext.compression = '$how'; SET cache_ext.storage = 'redis';"
		. "SELECT cached_json('size:$how', 'SELECT repeat(''abc'', 10000)', 600)");
	my ($key) = $redis->keys("*size:$how:*");
	$size{$how} = $redis->cli('STRLEN', $key);
	is($node->safe_psql('postgres', "SET cache_ext.storage = 'redis';"
		. "SELECT length(cached_json('size:$how', 'SELECT repeat(''abc'', 10000)', 600)->0->>'repeat'), (cache_last_status()).tier"),
		'30000|redis', "$how: comes back");
}
ok($size{off} > 30000 && $size{pglz} < 5000 && $size{lz4} < 5000, 'sizes: ' . join(' ', %size));

# too large for the setting: neither written nor believed
is($node->safe_psql('postgres', q{
	SET cache_ext.storage = 'redis'; SET cache_ext.max_entry_size = '8kB';
	SELECT length(cached_json('size:off', 'SELECT repeat(''abc'', 10000)', 600)->0->>'repeat'), (cache_last_status()).status;
	SELECT length(cached_json('big', 'SELECT repeat(''abc'', 10000)', 600)->0->>'repeat'), (cache_last_status()).reason}),
	"30000|bypass\n30000|too large", 'max_entry_size');
is(join(' ', $redis->keys('*:big:*')), '', 'nothing written');

# --- a clean restart

sub clean_restart
{
	my ($what) = @_;

	$node->restart;
	is($node->safe_psql('postgres', 'SELECT entries FROM cache_stats'), '0', "$what: shared memory is empty");
	return;
}

$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM cache_stats WHERE redis_writes > 5});
# a set value is written by the background worker
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if my @there = $redis->keys('*:value:*');
	Time::HiRes::usleep(100_000);
}
clean_restart('restart');
is(read_tier($node, 1), '100|redis', 'restart: from Redis at once');
is(read_tier($node, 1), '100|shared_memory', 'restart: then from memory');
is($node->safe_psql('postgres', "SET app.other = 'one'; $forms[$_]; SELECT (cache_last_status()).tier"),
	join("\n", grep { $_ ne '' } $first[$_], 'redis'), "restart: form $_")
  for 0 .. $#forms;
is($node->safe_psql('postgres', q{SET app.other = 'two';} . $forms[4] . q{; SELECT (cache_last_status()).status}),
	qq{[{"t": "two", "count": 3}]\nmiss}, 'restart: not for other settings');
is($node->safe_psql('postgres', q{SELECT cache_get('value'), (cache_last_status()).tier}),
	'{"a": [1, 2]}|redis', 'restart: a set value');

# what is filled after it outlives the next, and so does what was before
fill(2, 200, 'after a restart');
clean_restart('second restart');
is(read_tier($node, 2), '200|redis', 'second restart: from the run before');
is(read_tier($node, 1), '100|redis', 'second restart: from the run before that');

# invalidated before a restart, and after one
my %kill = (
	trigger => 'UPDATE item SET v = v WHERE id = 3',
	key => q{SELECT cache_invalidate('item:3')},
	prefix => q{SELECT cache_invalidate('item:*')},
	glob => q{SELECT cache_invalidate('i*m:3')},
	clear => q{SELECT cache_clear()},
	table => q{SELECT cache_invalidate_table('item')},
	ddl => 'ALTER TABLE item ADD COLUMN IF NOT EXISTS extra integer',
	revoke => 'REVOKE INSERT ON item FROM PUBLIC',
	grant => 'GRANT INSERT ON item TO reader',
	role => 'ALTER ROLE reader CONNECTION LIMIT 3',
);
for my $how (sort keys %kill)
{
	$node->safe_psql('postgres', tier(3));
	like(read_tier($node, 3), qr/^300\|shared_memory$/, "$how: cached");
	$node->safe_psql('postgres', $kill{$how});
	is($node->safe_psql('postgres', q{SET cache_ext.storage = 'redis';} . tier(3)), '300|miss', "$how: dead in Redis");
}
for my $how (sort keys %kill)
{
	read_tier($node, $_) for 3 .. 4;
	$node->safe_psql('postgres', $kill{$how});
	$node->restart;
	is(read_tier($node, 3), '300|miss', "$how before a restart: dead");
	$node->safe_psql('postgres', tier(3));
	$node->restart;
	$node->safe_psql('postgres', $kill{$how});
	is(read_tier($node, 3), '300|miss', "$how after a restart: dead");
}
read_tier($node, 4);
$node->safe_psql('postgres', 'BEGIN; UPDATE item SET v = 0 WHERE id = 4; ROLLBACK');
$node->restart;
is(read_tier($node, 4), '400|redis', 'rolled back: alive');

# prepared across the restart
read_tier($node, 5);
$node->safe_psql('postgres', q{BEGIN; UPDATE item SET v = 501 WHERE id = 5; PREPARE TRANSACTION 'five'});
$node->restart;
like(read_tier($node, 5), qr/^500\|/, 'prepared across a restart: the row of before');
like(read_tier($node, 5), qr/^500\|/, 'prepared across a restart: again');
$node->safe_psql('postgres', q{COMMIT PREPARED 'five'});
is(read_tier($node, 5), '501|miss', 'prepared across a restart: committed');
$node->safe_psql('postgres', q{BEGIN; UPDATE item SET v = 502 WHERE id = 5; PREPARE TRANSACTION 'five'});
$node->restart;
$node->safe_psql('postgres', q{COMMIT PREPARED 'five'});
is(read_tier($node, 5), '502|miss', 'committed before the first call');

# REPEATABLE READ takes from Redis only what its snapshot would give
read_tier($node, 6);
$node->restart;
my $rr = session($node);
$rr->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
is($rr->query_safe(tier(6)), '600|redis', 'REPEATABLE READ: an entry from before its snapshot');
$rr->query_safe('COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$node->safe_psql('postgres', 'UPDATE item SET v = 601 WHERE id = 6');
$node->safe_psql('postgres', q{SET cache_ext.storage = 'redis';} . tier(6));
$rr->query_safe(q{SET cache_ext.storage = 'redis'});
like($rr->query_safe(tier(6)), qr/^600\|bypass$/, 'REPEATABLE READ: not one from after');
$rr->query_safe('COMMIT');
is($rr->query_safe(tier(6)), '601|redis', 'and then it is');
$rr->quit;

# roles and tenants
my $row = q{SELECT cached_json('plain', 'SELECT count(*) FROM plain', 600), coalesce((cache_last_status()).tier, 'none')};
$node->safe_psql('postgres', $row);
$node->restart;
is($node->safe_psql('postgres', "SET ROLE reader; $row"), '[{"count": 3}]|none', 'not from another role');
is($node->safe_psql('postgres', "SET app.tenant = 'a'; $row"), '[{"count": 3}]|none', 'not from another tenant');
is($node->safe_psql('postgres', $row), '[{"count": 3}]|redis', 'from the same');
$node->restart;
$node->safe_psql('postgres', 'REVOKE SELECT ON plain FROM reader');
my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE reader; $row");
like($err, qr/permission denied/, 'not after REVOKE');

# --- another database, another server

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{CREATE EXTENSION cache_ext; CREATE TABLE item (id integer, v integer); INSERT INTO item VALUES (1, -1)});
is(read_tier($node, 1), '100|miss', 'refilled');
is($node->safe_psql('other', q{SET cache_ext.storage = 'redis';} . tier(1)), '-1|miss', 'databases are apart');
is(scalar(grep { /^cache_ext:other:item:1:/ } $redis->keys), 1, 'by name, too');

my $stranger = new_node('stranger', conf => $conf);
setup($stranger);
is(read_tier($stranger, 1), '1|miss', 'so are servers, in one namespace');
is(read_tier($node, 1), '100|shared_memory', 'both ways');
$stranger->restart;
is(read_tier($stranger, 1), '1|redis', 'each with its own');
$stranger->stop;

# a copy of the data directory: it may read what both have in common, if at all,
# by its own versions; and never what the parent writes afterwards
read_tier($node, $_) for 7 .. 8;
$node->stop;
my $clone = PostgreSQL::Test::Cluster->new('clone');
system_or_bail('cp', '-a', $node->data_dir, $clone->data_dir);
$clone->append_conf('postgresql.conf', sprintf "port = %d\nunix_socket_directories = '%s'\n", $clone->port, $clone->host);
$clone->start;
is(read_tier($clone, 7), '700|miss', 'a copy does not revive its parent\'s entries');
$node->start;
is(read_tier($node, 7), '700|redis', 'the parent does');
$clone->safe_psql('postgres', 'UPDATE item SET v = 701 WHERE id = 7; UPDATE item SET v = 801 WHERE id = 8');
is(read_tier($clone, 7), '701|miss', 'the copy goes its own way');
is($node->safe_psql('postgres', q{SET cache_ext.storage = 'redis';} . tier(7)), '700|shared_memory', 'and the parent its own');
read_tier($clone, 8);
$clone->restart;
is(read_tier($clone, 8), '801|redis', 'and the copy after a restart');
is(read_tier($node, 8), '800|redis', 'not so the parent');
$clone->stop;

# --- not after anything but a clean restart

# The postmaster is not there to wait for its children.
sub kill_server
{
	my $pidfile = $node->data_dir . '/postmaster.pid';

	$node->kill9;
	for (1 .. 1000)
	{
		unlink $pidfile;
		return if $node->start(fail_ok => 1);
		Time::HiRes::usleep(100_000);
	}
	die 'the server does not start';
}

sub revived
{
	my ($what) = @_;
	my ($before) = $node->safe_psql('postgres', 'SELECT redis_hits FROM cache_stats');

	is(join(' ', map { read_tier($node, $_) =~ /\|(.*)/ } 1 .. 10), join(' ', ('miss') x 10), "$what: nothing of before");
	is($node->safe_psql('postgres', q{SELECT count(v) FROM cache_get_many('{value}') AS t(k, v)}), '0', "$what: no value");
	return;
}

sub warm
{
	$node->safe_psql('postgres', join(';', map { tier($_) } 1 .. 10));
	return;
}

warm();
$node->stop('immediate');
$node->start;
revived('immediate shutdown');
my $offset = -s $node->logfile;
my $victim = session($node);
kill 'KILL', pid_of($victim);
$node->wait_for_log(qr/database system is ready to accept connections/, $offset);
$node->poll_query_until('postgres', 'SELECT true');
revived('kill -9 of a backend');
$victim->{run}->kill_kill;
kill_server();
revived('kill -9 of the server');
warm();
$node->restart;
is(read_tier($node, 9), '900|redis', 'a clean restart after that');

warm();
$node->append_conf('postgresql.conf', "cache_ext.memory = '32MB'");
$node->restart;
revived('other size of memory');

# rows changed by a server that does not run the extension
warm();
$node->stop;
my $without = slurp_file($node->data_dir . '/postgresql.conf');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
$node->safe_psql('postgres', q{SET session_replication_role = replica; UPDATE item SET v = 901 WHERE id = 9});
$node->stop;
unlink $node->data_dir . '/postgresql.conf';
append_to_file($node->data_dir . '/postgresql.conf', $without);
$node->start;
is(read_tier($node, 9), '901|miss', 'changed without the extension');

# a damaged file, a damaged key
warm();
$node->stop;
my $file = $node->data_dir . '/cache_ext.state';
open(my $fh, '+<', $file) or die "$file: $!";
seek($fh, 100, 0);
read($fh, my $byte, 1);
seek($fh, 100, 0);
print $fh ~$byte;
close $fh;
$node->start;
revived('damaged state file');
ok(!-e $file, 'which is gone');
is((stat $node->data_dir . '/cache_ext.key')[2] & 0777, 0600, 'the key is private');
warm();
$node->stop;
unlink $node->data_dir . '/cache_ext.key';
$node->start;
revived('another key');
warm();
$node->stop;
truncate $node->data_dir . '/cache_ext.key', 5 or die $!;
$node->start;
revived('half a key');
ok($node->log_contains(qr/file "cache_ext.key" is damaged and made anew/), 'which is said');

# a file from an older shutdown does not come true again
warm();
$node->stop;
my $state = slurp_file($file);
$node->start;
$node->safe_psql('postgres', 'UPDATE item SET v = 902 WHERE id = 9');
$node->stop;
unlink $file;
append_to_file($file, $state);
$node->start;
is(read_tier($node, 9), '902|miss', 'an older state file');

# --- promotion

$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->append_conf('postgresql.conf', "cache_ext.allow_in_recovery = on\n");
warm();
$standby->start;
$node->wait_for_catchup($standby);
is(read_tier($standby, 1), '100|miss', 'a standby does not read the primary\'s');
is($standby->safe_psql('postgres', q{SET cache_ext.storage = 'redis';} . tier(1, 'own')), '100|miss', 'standby: filled');
is($standby->safe_psql('postgres', q{SET cache_ext.storage = 'redis';} . tier(1, 'own')), '100|redis', 'standby: from Redis');
$standby->restart;
is(read_tier($standby, 1, 'own'), '100|redis', 'standby: restarted');
is(read_tier($node, 1, 'own'), '100|miss', 'the primary does not read the standby\'s');
$standby->promote;
is(read_tier($standby, 1, 'own'), '100|miss', 'promoted: nothing of the standby\'s');
is(read_tier($standby, 2), '200|miss', 'nor of the primary\'s');
$standby->restart;
is(read_tier($standby, 2), '200|redis', 'but its own from then on');

$standby->stop;
$node->stop;
done_testing();

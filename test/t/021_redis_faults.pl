# Whatever becomes of Redis, or whoever answers in its place: queries are
# answered, and rightly; and when it is well again it is used again, without a
# restart.  No secret is shown.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use lib $FindBin::RealBin;
use CextProxy;
use CextRedis;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();

my $redis = CextRedis->new('main', port => 1, args => [ '--enable-debug-command', 'yes' ]);
my $proxy = CextProxy->new($redis);
my $node = new_node('main', conf => sprintf q{
cache_ext.redis_url = '%s'
cache_ext.storage = 'redis'
cache_ext.redis_backoff_max = 100
statement_timeout = '60s'
}, $redis->url);

setup($node);

# Values large enough for half of one to be something, and different each time.
$node->safe_psql('postgres', q{
	ALTER TABLE item ADD COLUMN filler text;
	-- no two rows alike, or one could be taken for another
	UPDATE item SET v = id * 100000, filler = (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 50) WHERE item.id > 0);
	CREATE FUNCTION answer(which integer) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		RETURN cached_json('item:' || which, 'SELECT v, filler FROM item WHERE id = $1', 600, which)->0->>'v';
	END$$;
	-- reads and writes; how many answers were wrong
	CREATE FUNCTION wrong_answers(rounds integer) RETURNS integer LANGUAGE plpgsql AS $$
	DECLARE
		wrong integer := 0;
	BEGIN
		FOR i IN 1 .. rounds LOOP
			FOR j IN 1 .. 5 LOOP
				IF answer(j) IS DISTINCT FROM (SELECT v::text FROM item WHERE id = j) THEN
					wrong := wrong + 1;
				END IF;
			END LOOP;
		END LOOP;
		RETURN wrong;
	END$$});

my $session;

# Reads from sessions that have connections and such that have not, with writes
# in between.
sub answers_right
{
	my ($what) = @_;
	my $wrong = 0;

	for (1 .. 3)
	{
		$wrong += $session->query_safe('SELECT wrong_answers(3)');
		$wrong += $node->safe_psql('postgres', 'SELECT wrong_answers(3)');
		$node->safe_psql('postgres', 'UPDATE item SET v = v + 1');
		$wrong += $session->query_safe('SELECT wrong_answers(1)');
	}
	is($wrong, 0, "$what: answers are right");
	return;
}

# In use again: a breaker closes when somebody reads, or writes.
sub recovers
{
	my ($what) = @_;
	my $states = '';

	ok(wait_tier($node), "$what: recovers");
	for (1 .. 1000)
	{
		$node->safe_psql('postgres', 'UPDATE item SET v = v + 1');
		$session->query_safe('SELECT wrong_answers(2)');
		$states = $node->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ') FROM cache_redis});
		last if $states eq 'closed';
		usleep(20_000);
	}
	is($states, 'closed', "$what: all breakers closed");
	return;
}

sub last_error
{
	return $node->safe_psql('postgres',
		q{SELECT string_agg(last_error, '; ') FROM cache_redis});
}

# Wait until a breaker has noticed.  The calls that it takes are the test's.
sub noticed
{
	my ($what, $pattern) = @_;
	my $error = '';

	for (1 .. 1000)
	{
		$node->safe_psql('postgres', 'UPDATE item SET v = v + 1');
		$node->safe_psql('postgres', 'SELECT wrong_answers(1)');
		$error = last_error();
		last if $error =~ $pattern;
		usleep(20_000);
	}
	like($error, $pattern, "$what: noticed");
	return;
}

$session = session($node);
is($session->query_safe('SELECT wrong_answers(2)'), '0', 'before');
recovers('before');

# --- the server

$redis->kill_now;
noticed('killed', qr/could not connect|closed the connection/);
answers_right('killed');
$redis->start;
recovers('killed');

# As much time for Redis as it takes, where it is not the time that matters.
sub patient { return reload($node, 'cache_ext.redis_timeout' => '60s', 'cache_ext.redis_connect_timeout' => '60s'); }
sub impatient { return reload($node, 'cache_ext.redis_timeout' => '100', 'cache_ext.redis_connect_timeout' => '250'); }

# a connection that is gone is no failure where a new one can be had
patient();
my $trips = 'SELECT sum(trips) FROM cache_redis';
my $before = $node->safe_psql('postgres', $trips);
$redis->kill_now;
$redis->start;
is($session->query_safe('SELECT wrong_answers(2)'), '0', 'restarted between two calls: right');
is($node->safe_psql('postgres', $trips), $before, 'restarted between two calls: not a failure');
is($session->query_safe(q{SELECT answer(1) IS NULL, (cache_last_status()).tier}), 'f|redis',
	'restarted between two calls: in use at once');
impatient();

$redis->pause;
noticed('paused', qr/no answer within the time allowed/);
answers_right('paused');
$redis->continue;
recovers('paused');

# what is more than a socket takes at once, while nobody reads it and when somebody does
my $large = q{SELECT length(cached_json('large', 'SELECT string_agg(md5(g::text), '''') FROM generate_series(1, 100000) g', 600)::text) > 3000000, }
  . q{coalesce((cache_last_status()).tier, (cache_last_status()).status)};
$session->query_safe('SET cache_ext.compression = off');
$redis->pause;
is($session->query_safe($large), 't|miss', 'large, paused: answered');
like(last_error(), qr/no answer within the time allowed/, 'large, paused: noticed');
$redis->continue;
patient();
recovers('large, paused');
is($session->query_safe($large), 't|miss', 'large: nothing half written is believed');
is($session->query_safe($large), 't|redis', 'large: written and read');
$session->query_safe('RESET cache_ext.compression');
impatient();

$redis->cli('FLUSHALL');
answers_right('flushed');
recovers('flushed');

$redis->cli('CONFIG', 'SET', 'maxmemory', '1');
noticed('out of memory', qr/OOM command not allowed/);
answers_right('out of memory');
$redis->cli('CONFIG', 'SET', 'maxmemory', '0');
recovers('out of memory');

my $master = CextRedis->new('master', port => 1);
$redis->cli('REPLICAOF', '127.0.0.1', $master->port);
noticed('replica', qr/READONLY/);
answers_right('replica');
$redis->cli('REPLICAOF', 'NO', 'ONE');
recovers('replica');

# without its master, and forbidden to serve
$redis->cli('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
$master->kill_now;
$redis->cli('REPLICAOF', '127.0.0.1', $master->port);
noticed('replica without master', qr/MASTERDOWN/);
answers_right('replica without master');
$redis->cli('REPLICAOF', 'NO', 'ONE');
recovers('replica without master');

# LOADING, for as long as a million delays of 10 us take
$redis->cli('DEBUG', 'POPULATE', '300000');
$redis->cli('CONFIG', 'SET', 'key-load-delay', '30');
$redis->cli('SAVE');
{
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		$redis->raw('DEBUG', 'RELOAD', 'NOSAVE');
		POSIX::_exit(0);
	}
	noticed('loading', qr/LOADING|no answer within the time allowed/);
	answers_right('loading');
	$redis->cli('CONFIG', 'SET', 'key-load-delay', '0');
	waitpid($pid, 0);
}
$redis->cli('FLUSHALL');
recovers('loading');

# no more clients
$redis->cli('CONFIG', 'SET', 'maxclients', '1');
noticed('too many clients', qr/max number of clients/);
answers_right('too many clients');
$redis->kill_now;
$redis->start;
recovers('too many clients');

# --- permissions

my $password = 'S3cret%41 pass/word';
my $encoded = 'S3cret%2541%20pass%2Fword';

$redis->cli('ACL', 'SETUSER', 'cache', 'on', ">$password", '~cache_ext:*', '-@all', '+get', '+set');
reload($node, 'cache_ext.redis_url' => $redis->url =~ s{//}{//cache:$encoded\@}r);
recovers('user');
is($session->query_safe('SHOW cache_ext.redis_url'), 'unix://cache:***@' . $redis->socket, 'password not shown');
for ([ 'GET', '-get', qr/NOPERM/ ], [ 'SET', '-set', qr/NOPERM/ ], [ 'both', '-@all', qr/NOPERM/ ])
{
	my ($what, $rule, $error) = @$_;

	$redis->cli('ACL', 'SETUSER', 'cache', $rule);
	noticed("no $what", $error);
	answers_right("no $what");
	$redis->cli('ACL', 'SETUSER', 'cache', '+get', '+set');
	recovers("no $what");
}
$redis->cli('ACL', 'SETUSER', 'cache', 'resetkeys', '~other:*');
noticed('no keys', qr/NOPERM/);
answers_right('no keys');
$redis->cli('ACL', 'SETUSER', 'cache', '~cache_ext:*');
recovers('no keys');

$redis->cli('ACL', 'SETUSER', 'cache', 'off');
noticed('user disabled', qr/AUTH was refused: WRONGPASS|NOAUTH|closed the connection/);
answers_right('user disabled');
$redis->cli('ACL', 'SETUSER', 'cache', 'on');
recovers('user disabled');

my $wrong = 'wr0ngPassword';
reload($node, 'cache_ext.redis_url' => $redis->url =~ s{//}{//cache:$wrong\@}r);
noticed('wrong password', qr/AUTH was refused: WRONGPASS/);
answers_right('wrong password');
reload($node, 'cache_ext.redis_url' => $redis->url =~ s{//}{//:$wrong\@}r);
noticed('password where none is', qr/AUTH was refused: /);
answers_right('password where none is');
$redis->cli('ACL', 'SETUSER', 'default', 'off');
reload($node, 'cache_ext.redis_url' => $redis->url);
noticed('no password', qr/NOAUTH/);
answers_right('no password');
$redis->kill_now;
$redis->start;
reload($node, 'cache_ext.redis_url' => $redis->url . '?db=99');
noticed('no such database', qr/SELECT was refused: ERR/);
answers_right('no such database');
reload($node, 'cache_ext.redis_url' => $redis->url . '?db=3');
recovers('database 3');
like($redis->cli('-n', '3', 'DBSIZE'), qr/[1-9]/, 'used');

# --- the network, and enemies

reload($node, 'cache_ext.redis_url' => 'redis://nowhere.invalid:1');
noticed('no such host', qr/could not resolve host "nowhere.invalid"/);
answers_right('no such host');

reload($node, 'cache_ext.redis_url' => $proxy->url);
recovers('proxy');
my %disturbs = map { $_ => 1 } qw(stall half_open cut truncate hang shorten flip swap old twice nil forget);
for my $mode (CextProxy::modes())
{
	# versions for "old", values for "swap"
	for (1 .. 3)
	{
		$node->safe_psql('postgres', 'UPDATE item SET v = v + 1');
		$node->safe_psql('postgres', 'SELECT wrong_answers(2)');
	}
	$proxy->mode($mode);
	answers_right($mode);
	if ($mode !~ /^(stall|half_open|cut)$/)
	{
		my $tampered = 0;

		# Redis is not asked all the time: not while it is found to be too slow
		for (1 .. 1000)
		{
			last if ($tampered = $proxy->tampered) > 0;
			$session->query_safe('SELECT wrong_answers(2)');
		}
		ok($tampered > 0, "$mode: happened ($tampered times)");
	}
	if ($mode eq 'stall' || $mode eq 'cut')
	{
		noticed($mode, qr/no answer within the time allowed|closed the connection/);
	}
	$proxy->mode('pass');
	recovers($mode);
}
ok($node->safe_psql('postgres', 'SELECT redis_errors FROM cache_stats') > 100, 'counted');

# replies of too many bytes must not take longer than the timeout; nor when asked
# for once more, over another connection
for my $mode ('endless_line', 'flood')
{
	patient();
	my $s = session($node);		# knows of that
	my $result = '';

	# a line without end is searched again and again: it takes long to be too
	# large, but the cancel may come even later
	for (1 .. 20)
	{
		$s->query_safe('SELECT answer(1)');
		$proxy->mode($mode);
		begin_query($s, 'SELECT answer(1)');
		$node->poll_query_until('postgres', 'SELECT state <> \'active\' OR query_start < now() - interval \'0.3 s\' FROM pg_stat_activity WHERE pid = ' . pid_of($s));
		$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s) . ')');
		$result = end_query($s);
		$result = last_error() if $result !~ /cancel/;
		last if $mode eq 'flood' || $result !~ /too large/;
		$proxy->mode('pass');
		recovers("$mode, not canceled");
	}
	like($result, $mode eq 'flood' ? qr/canceling statement|too large/ : qr/canceling statement/, "$mode: can be canceled");
	$s->quit;
	$proxy->mode('pass');
	impatient();
	recovers("$mode, canceled");
}

# an answer that is there is taken, however late this process comes to look
{
	my $s = session($node);
	my $result;

	for my $seconds (1, 2, 4, 8, 16, 32)
	{
		$s->query_safe("SET cache_ext.redis_timeout = '${seconds}s'; SELECT answer(1)");
		$redis->pause;
		begin_query($s, 'SELECT answer(1) IS NULL, (cache_last_status()).tier');
		$node->poll_query_until('postgres', q{SELECT wait_event_type = 'Extension' OR state = 'idle' FROM pg_stat_activity WHERE pid = } . pid_of($s))
		  or die 'does not wait';
		kill 'STOP', pid_of($s);
		$redis->continue;
		$redis->cli('PING') for 1 .. 2;		# by then it has been answered
		$node->poll_query_until('postgres', "SELECT clock_timestamp() > query_start + interval '$seconds s' FROM pg_stat_activity WHERE pid = " . pid_of($s));
		kill 'CONT', pid_of($s);
		$result = end_query($s);
		last if $result eq 'f|redis';
		recovers("held up after more than $seconds s");
	}
	is($result, 'f|redis', 'held up longer than Redis is waited for: its answer is there');
	$s->quit;
}

# --- cancel, and the end of the postmaster

patient();
for my $when ('wait', 'connect')
{
	my $s = session($node);

	if ($when eq 'wait') { $s->query_safe('SELECT answer(1), answer(2)') }
	my $errors = $node->safe_psql('postgres', 'SELECT redis_errors FROM cache_stats');
	$proxy->mode('stall');
	begin_query($s, 'SELECT answer(1)');
	$node->poll_query_until('postgres', qq{SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = } . pid_of($s))
	  or die 'does not wait';
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s) . ')');
	like(end_query($s), qr/canceling statement due to/, "cancel in $when");
	$proxy->mode('pass');
	# late replies to the question that was given up are nobody's answer
	is($s->query_safe('SELECT answer(2) IS NULL, (cache_last_status()).tier'), 'f|redis', "cancel in $when: in step");
	is($node->safe_psql('postgres', 'SELECT redis_errors FROM cache_stats'), $errors, "cancel in $when: no odd replies");
	is($s->query_safe('SELECT wrong_answers(3)'), '0', "cancel in $when: right");
	$s->quit;
}

# a query is not made to time out: Redis gets half of its time, or is not asked
for my $when ('wait', 'connect')
{
	my $s = session($node);

	if ($when eq 'wait') { $s->query_safe('SELECT answer(1), answer(2)') }
	$s->query_safe('SET statement_timeout = \'10s\'');
	$proxy->mode('stall');
	is($s->query_safe('SELECT answer(1) IS NULL, (cache_last_status()).status'), 'f|miss', "half of the time in $when: answered");
	like(last_error(), qr/no answer within the time allowed/, "half of the time in $when: a failure");
	$proxy->mode('pass');
	$s->query_safe('SET statement_timeout = 0');
	recovers("half of the time in $when");
	$s->quit;
}
{
	my $s = session($node);
	my $count = 'SELECT redis_hits + redis_misses, redis_errors FROM cache_stats';
	my $before = $node->safe_psql('postgres', $count);

	$s->query_safe('SET statement_timeout = 30');
	for (1 .. 100)
	{
		last if eval { $s->query_safe('SELECT answer(1)'); 1 };
	}
	is($node->safe_psql('postgres', $count), $before, 'not enough time: not asked');
	$s->quit;
}

# a query that is canceled late, again and again, does not keep the breaker closed
reload($node, 'cache_ext.redis_timeout' => '200');
{
	my $s = session($node);
	my $trips = q{SELECT trips FROM cache_redis WHERE purpose = 'server'};
	my $before = $node->safe_psql('postgres', $trips);
	my $canceled = 0;

	$s->query_safe('SELECT answer(1)');
	$proxy->mode('stall');
	for (1 .. 100)
	{
		begin_query($s, 'SELECT answer(1)');
		usleep(150_000);
		$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s) . ')');
		$canceled++ if end_query($s) =~ /canceling/;
		last if $node->safe_psql('postgres', $trips) > $before;
		$proxy->mode('pass');
		$s->query_safe('SELECT answer(1)');
		$proxy->mode('stall');
	}
	like(last_error(), qr/no answer (before the query was canceled|within the time allowed)/, "canceled late: a failure ($canceled)");
	$proxy->mode('pass');
	$s->quit;
	recovers('canceled late');
}
reload($node, 'cache_ext.redis_timeout' => '60s');

# a listener whose queue is full leaves a connection where it is
{
	my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
	my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 5;

	reload($node, 'cache_ext.redis_url' => 'redis://127.0.0.1:' . $full->sockport);
	my $s = session($node);
	begin_query($s, 'SELECT answer(1)');
	$node->poll_query_until('postgres', q{SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = } . pid_of($s))
	  or die 'does not wait';
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s) . ')');
	like(end_query($s), qr/canceling statement/, 'canceled while connecting');
	$s->quit;
	reload($node, 'cache_ext.redis_connect_timeout' => '50');
	noticed('no connection', qr/no answer within the time allowed/);
	reload($node, 'cache_ext.redis_url' => $proxy->url, 'cache_ext.redis_connect_timeout' => '60s');
	recovers('no connection');
}

my $waiting = session($node);
$waiting->query_safe('SELECT answer(1)');
$proxy->mode('stall');
begin_query($waiting, 'SELECT answer(1)');
$node->poll_query_until('postgres', q{SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = } . pid_of($waiting))
  or die 'does not wait';
my $pid = pid_of($waiting);
$node->kill9;
my $gone = 0;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	my $stat;

	$gone = !open($stat, '<', "/proc/$pid/stat") || (<$stat> // ') Z ') =~ /\) Z /;
	last if $gone;
	usleep(100_000);
}
ok($gone, 'a backend that waits for Redis ends with the postmaster');
$_->{run}->kill_kill for $waiting, $session;
$proxy->mode('pass');
for (1 .. 300)
{
	unlink $node->data_dir . '/postmaster.pid';
	last if $node->start(fail_ok => 1);
	usleep(100_000);
}
impatient();
$session = session($node);
recovers('after that');

# file descriptors: not one more after many failures
my $fds = sub { scalar(my @list = glob('/proc/' . pid_of($session) . '/fd/*')) };
$session->query_safe('SELECT wrong_answers(1)');
my $descriptors = $fds->();
for my $mode ('cut', 'truncate', 'garbage', 'moved', 'pass')
{
	$proxy->mode($mode);
	for (1 .. 10)
	{
		$session->query_safe('SELECT wrong_answers(1)');
		usleep(20_000);
	}
}
recovers('descriptors');
$session->query_safe('SELECT wrong_answers(1)');
cmp_ok($fds->(), '<=', $descriptors + 4, 'no descriptors leak');

# --- what is shown, and to whom

my %bad = (
	'http://localhost' => qr/must begin with "redis:/,
	'redis://' => qr/host name is empty/,
	'redis://a,,b' => qr/host name is empty/,
	'redis://host:0' => qr/port is not a number/,
	'redis://host:70000' => qr/port is not a number/,
	'redis://host:6379x' => qr/port is not a number/,
	'redis://[::1' => qr/bracket/,
	'redis://host/x' => qr/database is not a number/,
	'redis://[::1]x' => qr/port is not a number|malformed/,
	'redis://' . ('u' x 300) . ':p@host' => qr/user name is too long/,
	'redis://' . ('h' x 300) => qr/host name is too long/,
	'redis://user@host' => qr/user name without a password/,
	"redis://:$wrong%zz\@host" => qr/not properly percent-encoded/,
	'redis://:' . ($wrong x 100) . '@host' => qr/password is too long/,
	'redis://' . join(',', ('h') x 17) => qr/too many hosts/,
	'unix://relative' => qr/must be absolute/,
	'unix:///' . ('x' x 120) => qr/too long/,
	'unix:///s?user=x' => qr/only parameter/,
);
for my $url (sort keys %bad)
{
	my ($rc, $out, $err) = $node->psql('postgres',
		"ALTER SYSTEM SET cache_ext.redis_url = '$url'", extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	like($err, $bad{$url}, 'refused: ' . substr($url, 0, 30));
	unlike($err =~ s/^STATEMENT.*//mr, qr/\Q$wrong\E/, 'without its password') if $url =~ /$wrong/;
}
my ($rc, $out, $err) = $node->psql('postgres', "SET cache_ext.redis_url = 'redis://x'");
like($err, qr/cannot be changed now/, 'not by SET');

my %good = (
	'redis://[::1]:6380/3' => 'redis://[::1]:6380/3',
	'redis://a,[fe80::1],b:7' => 'redis://a:6379,[fe80::1]:6379,b:7',
	'unix:///run/redis.sock?db=2' => 'unix:///run/redis.sock?db=2',
	'redis://u%40x:p%3aq@h' => 'redis://u@x:***@h:6379',
	'' => '');
for my $url (sort keys %good)
{
	reload($node, 'cache_ext.redis_url' => $url);
	is($node->safe_psql('postgres', 'SHOW cache_ext.redis_url'), $good{$url}, "shown: $url");
}

# from here on statements with a password in them are not logged
reload($node, 'cache_ext.redis_url' => "redis://cache:$wrong\@127.0.0.1:1");
noticed('port closed', qr/Connection refused/);
$proxy->mode('echo');
reload($node, 'cache_ext.redis_url' => $proxy->url("cache:$wrong"));
noticed('a server that repeats the command', qr/AUTH was refused: ERR/);
unlike(last_error(), qr/\Q$wrong\E/, 'not in the error');
reload($node, 'cache_ext.redis_url' => $proxy->url);
noticed('a server that repeats other commands', qr/ERR unknown command/);
unlike(last_error(), qr/item:/, 'not in the error either');
$proxy->mode('newline');
noticed('control characters', qr/ERR one\?FATAL:  two\?\[2J\?\?|Bad simple string/);
unlike(slurp_file($node->logfile), qr/^FATAL:  two/m, 'no line of the log is forged');
$proxy->mode('pass');
my $shown = $node->safe_psql('postgres', q{
	SELECT s::text FROM pg_settings s WHERE name LIKE 'cache_ext.%'
	UNION ALL SELECT a::text FROM pg_stat_activity a WHERE pid <> pg_backend_pid()
	UNION ALL SELECT r::text FROM cache_redis r UNION ALL SELECT s::text FROM cache_stats s
	UNION ALL SELECT current_setting('cache_ext.redis_url')});
$node->safe_psql('postgres', 'CREATE ROLE someone LOGIN');
for my $query ('SHOW cache_ext.redis_url', q{SELECT current_setting('cache_ext.redis_url')}, 'SELECT * FROM cache_redis')
{
	($rc, $out, $err) = $node->psql('postgres', "SET ROLE someone; $query");
	like($err, qr/permission denied|must be superuser|must have privileges/, "not for everybody: $query");
}
my $log = join("\n", grep { !/STATEMENT:  ALTER SYSTEM/ } split /\n/, slurp_file($node->logfile));
for my $secret ($wrong, $password, $encoded)
{
	unlike($log, qr/\Q$secret\E/, 'no password in the log');
	unlike($shown, qr/\Q$secret\E/, 'no password in views');
}
cmp_ok(scalar(my @changes = $log =~ /(cache_ext (no longer|uses|reads|writes)[^\n]*)/g), '<', 2000, 'logged once a change');
note join("\n", grep { defined && /^cache_ext/ } @changes[0 .. 11]);

$node->stop;
done_testing();

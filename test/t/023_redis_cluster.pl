# Redis Cluster: entries are spread over its nodes and found there, whatever
# moves; a node that stops costs hits and nothing else.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();

my @redis = map {
	CextRedis->new("node$_", cluster => 1, args => [ '--cluster-node-timeout', '600000',
		'--cluster-require-full-coverage', 'no', '--enable-debug-command', 'yes' ])
} 1 .. 3;
my @address = map { '127.0.0.1:' . $_->port } @redis;

sub manage
{
	my (@args) = @_;
	my $out;
	my $cli = ($ENV{CEXT_REDIS} // '') =~ /valkey/ ? 'valkey-cli' : 'redis-cli';

	IPC::Run::run([ $cli, '--cluster', @args ], '>', \$out, '2>&1', '<', '/dev/null')
	  or die "$cli --cluster @args: $out";
	return $out;
}

# Wait until all nodes that run agree on something.
sub wait_cluster
{
	my ($what, $test) = @_;

	for (1 .. 1800)
	{
		return if !grep { defined $_->pid && !$test->($_) } @redis;
		usleep(100_000);
	}
	die "cluster: $what never came";
}

manage('create', (map { $_->address } @redis), '--cluster-replicas', '0', '--cluster-yes');
wait_cluster('state', sub { $_[0]->cli('CLUSTER', 'INFO') =~ /cluster_state:ok.*cluster_slots_ok:16384.*cluster_known_nodes:3/s });

# all that docs/redis.md says is needed
sub allow
{
	my ($redis) = @_;

	$redis->cli(split / /, 'ACL SETUSER cache on >password ~cache_ext:* -@all +get +set +cluster|slots +asking');
	return;
}
allow($_) for @redis;

my $node = new_node('main', conf => qq{
cache_ext.redis_url = 'redis://cache:password\@$address[0]'
cache_ext.storage = 'redis'
cache_ext.redis_timeout = 60s
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_backoff_max = 100
});
setup($node);
$node->safe_psql('postgres', q{
	INSERT INTO item SELECT g, 1 FROM generate_series(11, 60) g;
	CREATE FUNCTION look(OUT right_ones integer, OUT from_redis integer) LANGUAGE plpgsql AS $$
	BEGIN
		right_ones := 0;
		from_redis := 0;
		FOR i IN 1 .. 60 LOOP
			IF (cached_json('item:' || i, 'SELECT v FROM item WHERE id = $1', 600, i)->0->>'v')::int =
				(SELECT v FROM item WHERE id = i) THEN
				right_ones := right_ones + 1;
			END IF;
			IF (cache_last_status()).tier = 'redis' THEN
				from_redis := from_redis + 1;
			END IF;
		END LOOP;
	END$$});

my $look = 'SELECT * FROM look()';
my $session = session($node);

# Wait until all is in use again.
sub all_hits
{
	my ($what) = @_;

	ok($node->poll_query_until('postgres', $look, '60|60'), "$what: all from Redis");
	return;
}

is($session->query_safe($look), '60|0', 'filled');
is($session->query_safe($look), '60|60', 'found');
is($node->safe_psql('postgres', $look), '60|60', 'found by a session that knows one seed');
is(scalar(grep { my @k = $_->keys('cache_ext:*'); @k > 5 } @redis), 3, 'on three nodes');
is($node->safe_psql('postgres', 'SELECT redis_errors, (SELECT sum(trips) FROM cache_redis) FROM cache_stats'),
	'0|0', 'redirections are no errors');
$node->safe_psql('postgres', q{SELECT cache_set_many((SELECT jsonb_object_agg('value:' || g, g) FROM generate_series(1, 50) g))});
is($node->safe_psql('postgres', q{SELECT count(value) FROM cache_get_many((SELECT array_agg('item:' || g) FROM generate_series(1, 50) g))}),
	'0', 'one call for many keys, over all nodes');
is($node->safe_psql('postgres', 'SELECT redis_errors FROM cache_stats'), '0', 'without errors');

# --- a slot migrates: ASK for what has gone, then MOVED

my ($key) = grep { /:item:7:/ } map { $_->keys('*:item:7:*') } @redis;
my $slot = $redis[0]->cli('CLUSTER', 'KEYSLOT', $key);
my ($from) = grep { my $n = $_; grep { $_ eq $key } $redis[$n]->keys('*') } 0 .. 2;
my $to = ($from + 1) % 3;
my @id = map { $_->cli('CLUSTER', 'MYID') } @redis;
my $read = q{SELECT cached_json('item:7', 'SELECT v FROM item WHERE id = $1', 600, 7)->0->>'v', coalesce((cache_last_status()).tier, (cache_last_status()).status)};

is($session->query_safe($read), '1|redis', 'before the slot migrates');
$redis[$to]->cli('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $id[$from]);
$redis[$from]->cli('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $id[$to]);
is($session->query_safe($read), '1|redis', 'migrating: still where it was');
$redis[$from]->cli('MIGRATE', '127.0.0.1', $redis[$to]->port, $key, '0', '600000');
is($session->query_safe($read), '1|redis', 'migrating: ASK is followed');
is($node->safe_psql('postgres', $read), '1|redis', 'migrating: by others too');
$node->safe_psql('postgres', 'UPDATE item SET v = 2 WHERE id = 7');
is($session->query_safe($read), '2|miss', 'migrating: written');
is($session->query_safe($read), '2|redis', 'migrating: and read');
$redis[$_]->cli('CLUSTER', 'SETSLOT', $slot, 'NODE', $id[$to]) for $to, $from, 3 - $to - $from;
is($session->query_safe($read), '2|redis', 'migrated: MOVED is followed');
is($node->safe_psql('postgres', 'SELECT redis_errors, (SELECT sum(trips) FROM cache_redis) FROM cache_stats'),
	'0|0', 'all without an error');

# --- resharding under load

{
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my $out = eval { manage('reshard', $address[0], '--cluster-from', $id[0], '--cluster-to', $id[1],
			'--cluster-slots', '1000', '--cluster-yes') };
		POSIX::_exit(defined $out ? 0 : 1);
	}
	my $right = 0;
	my $n = 0;
	my $status;
	while (!defined $status)
	{
		$status = $? if waitpid($pid, POSIX::WNOHANG()) == $pid;
		$node->safe_psql('postgres', 'UPDATE item SET v = v + 1 WHERE id % 3 = 0');
		for my $row ($session->query_safe($look), $node->safe_psql('postgres', $look))
		{
			$n++;
			$right++ if $row =~ /^60\|/;
		}
	}
	is($status, 0, 'resharding ends');
	is($right, $n, "resharding: all answers are right ($n times 60)");
}
all_hits('resharded');
is($node->safe_psql('postgres', 'SELECT redis_errors FROM cache_stats'), '0', 'without an error');

# --- a node stops

$session->query_safe($look);
$redis[2]->kill_now;
like($session->query_safe($look), qr/^60\|/, 'a node dies: answers are right');
like($node->safe_psql('postgres', $look), qr/^60\|/, 'for others too');
$redis[2]->start;
allow($redis[2]);
all_hits('it is back');
$redis[2]->pause;
reload($node, 'cache_ext.redis_timeout' => '100', 'cache_ext.redis_connect_timeout' => '250');
like($session->query_safe($look), qr/^60\|/, 'a node is silent: answers are right');
$redis[2]->continue;
reload($node, 'cache_ext.redis_timeout' => '60s', 'cache_ext.redis_connect_timeout' => '60s');
all_hits('it speaks');

# the whole cluster says CLUSTERDOWN when slots are not covered
$_->cli('CONFIG', 'SET', 'cluster-require-full-coverage', 'yes') for @redis;
$_->cli('CONFIG', 'SET', 'cluster-node-timeout', '1000') for @redis;
$redis[2]->kill_now;
wait_cluster('failure', sub { $_[0]->cli('CLUSTER', 'INFO') =~ /cluster_state:fail/ });
like($session->query_safe($look), qr/^60\|0$/, 'CLUSTERDOWN: computed');
like($node->safe_psql('postgres', q{SELECT string_agg(last_error, '; ') FROM cache_redis}), qr/CLUSTERDOWN|could not connect/, 'noticed');
$redis[2]->start;
allow($redis[2]);
wait_cluster('recovery', sub { $_[0]->cli('CLUSTER', 'INFO') =~ /cluster_state:ok/ });
$_->cli('CONFIG', 'SET', 'cluster-node-timeout', '600000') for @redis;
all_hits('complete again');

# --- all seeds but one are dead; then that one, and others are known

my $nobody = PostgreSQL::Test::Cluster::get_free_port();
reload($node, 'cache_ext.redis_url' => "redis://cache:password\@127.0.0.1:$nobody,127.0.0.1:1,$address[1]");
all_hits('one living seed of three');
is($session->query_safe($look), '60|60', 'for the session too');
$redis[1]->kill_now;
like($session->query_safe($look), qr/^60\|/, 'the only seed dies');
$redis[1]->start;
allow($redis[1]);
all_hits('and returns');

# a clean restart, in a cluster
$session->quit;
$node->restart;
is($node->safe_psql('postgres', $look), '60|60', 'after a restart');

$node->stop;
done_testing();

# The relay in a Redis Cluster: keys are dropped on the node that has them,
# patterns on all, and a subscriber of any node hears of it, a flush too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextRelay;
use CextTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();

my @redis = map {
	CextRedis->new("node$_", cluster => 1, args => [ '--cluster-node-timeout', '600000' ])
} 1 .. 3;
my $made = '';
my $cli = ($ENV{CEXT_REDIS} // '') =~ /valkey/ ? 'valkey-cli' : 'redis-cli';
IPC::Run::run([ $cli, '--cluster', 'create', (map { $_->address } @redis),
	'--cluster-replicas', '0', '--cluster-yes' ], '>', \$made, '2>&1', '<', '/dev/null');
like($made, qr/All 16384 slots covered/, 'a cluster of three');
for my $r (@redis)
{
	my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;

	# a message goes over the links that there are
	until ($r->cli('CLUSTER', 'INFO') =~ /cluster_state:ok/
		&& $r->cli('CLUSTER', 'SLOTS') =~ /\b@{[ $redis[2]->port ]}\b/
		&& $r->cli('CLUSTER', 'NODES') !~ /handshake|disconnected/)
	{
		die 'the cluster never came up' unless $tries-- > 0;
		usleep(100_000);
	}
}

my $channel = 'cache_ext:invalidate:postgres';
my @subs = map { CextRelay->new($_->socket, $channel) } @redis;
my $node = new_node('main', conf => qq{
cache_ext.redis_url = 'redis://127.0.0.1:@{[$redis[0]->port]}'
cache_ext.storage = shared_memory
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.redis_relay = on
});
setup($node);

is(($_->until('flush restart'))[-1], 'flush restart', 'a flush reaches the subscribers of each node')
  for @subs;

# what setup() did
$node->safe_psql('postgres', q{SELECT cache_invalidate('ready')});
$_->until('key ready') for @subs;

# each key on the node that takes it
my @apps = map { CextRelay->new($_->socket) } @redis;
for my $n (1 .. 300)
{
	for my $app (@apps)
	{
		$app->command('SET', "k:$n", 1);
		last if eval { $app->reply };
	}
}
my @on = map { $_->cli('DBSIZE') =~ /(\d+)/ } @redis;
is(scalar(grep { $_ > 0 } @on), 3, "each node has some: @on");
$node->safe_psql('postgres', "SELECT cache_invalidate_many(array_agg('k:' || g)) FROM generate_series(1, 100) g");
for my $sub (@subs)
{
	my @told = $sub->next =~ /key k:/g;

	is(scalar @told, 100, 'keys are told to the subscribers of each node');
}
my $left = 0;
$left += $_->cli('DBSIZE') =~ s/\D//gr for @redis;
is($left, 200, '... and dropped where they are');
$node->safe_psql('postgres', q{SELECT cache_invalidate('k:2*')});
is($_->next, 'pattern k:2*', 'a pattern is told') for @subs;
$left = 0;
$left += $_->cli('DBSIZE') =~ s/\D//gr for @redis;
is($left, 100, '... and what matches is dropped on all nodes');
is($node->safe_psql('postgres', 'SELECT failed FROM cache_relay'), 0, 'nothing was refused');

$node->stop;
done_testing();

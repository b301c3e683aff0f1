# Which server is asked: of several the one that does, though others are dead,
# silent or replicas; and none that a server has no business to name.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use lib $FindBin::RealBin;
use CextFake;
use CextRedis;
use CextRelay;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();

my $master = CextRedis->new('master', port => 1);
my $replica = CextRedis->new('replica', port => 1);
my $node = new_node('main', conf => qq{
cache_ext.redis_url = 'redis://127.0.0.1:@{[$master->port]}'
cache_ext.storage = 'redis'
cache_ext.redis_backoff_max = 100
max_prepared_transactions = 2
});
setup($node);

sub url { return 'redis://' . join ',', map { "127.0.0.1:$_" } @_; }
sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub last_error { return sql(q{SELECT last_error FROM cache_redis WHERE purpose = 'server'}); }

# As much time for Redis as it takes, where it is not the time that matters.
sub patient { return reload($node, 'cache_ext.redis_timeout' => '60s', 'cache_ext.redis_connect_timeout' => '60s', @_); }
sub impatient { return reload($node, 'cache_ext.redis_timeout' => '100', 'cache_ext.redis_connect_timeout' => '250', @_); }

# Sessions that know nothing yet, one after the other, come to use it.
sub used
{
	my ($what, @ports) = @_;

	$master->cli('FLUSHALL');
	impatient('cache_ext.redis_url' => url(@ports));
	ok(wait_tier($node), "$what: another is used");
	patient();
	is(sql(q{SELECT cached_json('probe', 'SELECT 1', 600) IS NULL, (cache_last_status()).tier}), 'f|redis', "$what: by the next session too");
	return;
}

$replica->cli('REPLICAOF', '127.0.0.1', $master->port);
for (1 .. 1800)
{
	last if $replica->cli('INFO', 'replication') =~ /master_link_status:up/;
	usleep(100_000);
}
like($replica->cli('INFO', 'replication'), qr/master_link_status:up/, 'a replica');

my $dead = PostgreSQL::Test::Cluster::get_free_port();
used('a dead one first', $dead, $master->port);

# its queue is full: a connection to it stays where it is
my $hole = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $hole->sockport, Blocking => 0) } 1 .. 5;
for my $order ([ $hole->sockport, $master->port ], [ $master->port, $hole->sockport ])
{
	used('a silent one', @$order);
}

# the order of the two matters to one of them
for my $order ([ $replica->port, $master->port ], [ $master->port, $replica->port ])
{
	used('a replica', @$order);
	cmp_ok(scalar(my @k = $master->keys('*:probe:*')), '>', 0, 'a replica: written where that can be');
}

# --- the relay's messages go where all subscribers hear of them

my $channel = 'cache_ext:invalidate:postgres';
my $sub = CextRelay->new($master->socket, $channel);
my $far = CextRelay->new($replica->socket, $channel);

patient('cache_ext.redis_url' => url($dead, $master->port), 'cache_ext.redis_relay' => 'on');
is($sub->next, 'flush enabled', 'a dead one first: the relay finds the other');
is($far->next, 'flush enabled', 'and a flush gets to the subscriber of a replica');
for my $order ([ $replica->port, $master->port ], [ $master->port, $replica->port ])
{
	reload($node, 'cache_ext.redis_url' => url(@$order));
	is(($sub->until('flush enabled'))[-1], 'flush enabled', 'a flush when it is another Redis');
	sql(q{BEGIN; CREATE TABLE t(); SELECT cache_invalidate('x'); PREPARE TRANSACTION 'x'});
	sql(q{COMMIT PREPARED 'x'; DROP TABLE t});
	like(($sub->until('flush prepared'))[-1], qr/flush prepared/, 'not to a replica alone');
	$far->until('flush prepared');
}
is(sql('SELECT failed FROM cache_relay'), '0', 'nothing was refused');
$_->nothing($node) for $sub, $far;

# what Redis says of a command may repeat the command
my $lame = CextRedis->new('lame', args => [ '--rename-command', 'UNLINK', '' ]);
$sub = CextRelay->new($lame->socket, $channel);
reload($node, 'cache_ext.redis_url' => $lame->url);
$sub->until('flush enabled');		# the worker knows
sql(q{SELECT cache_invalidate('secret:' || g) FROM generate_series(1, 3) g});
$sub->until('key secret:1, key secret:2, key secret:3');
is(sql('SELECT failed FROM cache_relay'), '3', 'a command that is not there: counted');
my @refused = slurp_file($node->logfile) =~ /Redis refuses a command of cache_ext's relay: (ERR[^\n]*)/g;
like("@refused", qr/^ERR unknown command [`']UNLINK'?`?$/, '... and logged once, without its arguments');

# --- a sweep begins again where what it was at is not what it was

sub simple
{
	my ($name) = @_;

	return "*0\r\n" if $name eq 'PUBSUB';
	return ":0\r\n" if $name =~ /^(UNLINK|PUBLISH)$/;
	return "+OK\r\n";
}

sub scan { my ($cursor, @keys) = @_; return sprintf("*2\r\n\$%d\r\n%s\r\n*%d\r\n", length $cursor, $cursor, scalar @keys) . join '', map { '$' . length($_) . "\r\n$_\r\n" } @keys; }

sub published
{
	my ($fake, $message) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if grep { /PUBLISH.*$message/ } $fake->log;
		usleep(100_000);
	}
	die 'nothing was published';
}

sub swept
{
	my ($fake, $what) = @_;

	reload($node, 'cache_ext.redis_url' => url($fake->port(0)));
	published($fake, qr/"type":"flush"/);		# the worker knows
	sql(q{SELECT cache_invalidate('p:*')});
	published($fake, qr/"pattern":"p:\*"/);
	return join ' ', map { s/ MATCH.*//r =~ s/SCAN //r =~ s/ /:/r } grep { /SCAN/ } $fake->log;
}

{
	my $lost = 0;
	my $fake = CextFake->new(1, sub {
		my ($which, $name, $arg) = @_;
		return "-ERR This instance has cluster support disabled\r\n" if $name eq 'CLUSTER';
		return simple($name) if $name ne 'SCAN';
		return scan(7) if $arg eq '0';
		return $lost++ ? scan(0) : undef;
	});

	like(swept($fake), qr/^0:0 0:7 (0:7 )?0:0 0:7$/, 'a connection is lost: a cursor is not believed by the next');
}
{
	my $moved = 0;
	my @port;
	my $slots = sub { sprintf("*2\r\n*3\r\n:0\r\n:8191\r\n*2\r\n\$9\r\n127.0.0.1\r\n:%d\r\n*3\r\n:8192\r\n:16383\r\n*2\r\n\$9\r\n127.0.0.1\r\n:%d\r\n", @_) };
	my $fake = CextFake->new(4, sub {
		my ($which, $name, @args) = @_;
		# the ports are known by then: the first command tells this one
		if ($name eq 'CLUSTER') { return $slots->(@port[ $moved ? 2 : 0, 1 ]) }
		if ($name eq 'SET') { @port = split / /, $args[1] if $args[0] eq 'ports'; return "+OK\r\n" }
		if ($name eq 'SCAN') { return scan(0, $which == 0 ? 'p:1' : ()) }
		if ($name eq 'UNLINK' && $args[0] eq 'p:1' && !$moved++) { return "-MOVED 1 127.0.0.1:$port[2]\r\n" }
		return simple($name);
	});
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $fake->port(3));
	my $ports = join ' ', map { $fake->port($_) } 0 .. 2;

	print $s "*3\r\n\$3\r\nSET\r\n\$5\r\nports\r\n\$" . length($ports) . "\r\n$ports\r\n";
	$s->flush;
	sysread($s, my $ok, 100);
	my $asked = swept($fake);
	like($asked, qr/^0:0 /, "a cluster: $asked");
	like($asked, qr/1:0/, 'a node is replaced: none is left out');
	like($asked, qr/2:0/, '... nor the one that has come');
}
{
	my $fake = CextFake->new(1, sub {
		my ($which, $name) = @_;
		usleep(500_000) if $name eq 'PUBLISH';
		return $name eq 'CLUSTER' ? "-ERR This instance has cluster support disabled\r\n" : simple($name);
	});

	impatient('cache_ext.redis_url' => url($fake->port(0)));
	sql(q{SELECT cache_invalidate('slow')});
	ok($node->poll_query_until('postgres', q{SELECT state = 'on' AND queue_length = 0 FROM cache_relay}),
		'slower than the timeout: told in the end');
}
reload($node, 'cache_ext.redis_relay' => 'off');

# --- what a server may not do

my $path = PostgreSQL::Test::Utils::tempdir_short() . '/s';
my $victim = IO::Socket::UNIX->new(Listen => 5, Local => $path);
my %evil = (
	'a path to go to' => [ qr/redirects to nowhere/, sub { return "-MOVED 1 $path:1\r\n" } ],
	'a map of paths' => [ qr/redirects in circles|redirects to nowhere/, sub {
		my ($which, $name) = @_;
		return "-MOVED 1 :6379\r\n" if $name ne 'CLUSTER';
		return "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n\$" . length($path) . "\r\n$path\r\n:1\r\n";
	} ],
	'a large map' => [ qr/arrays are too large/, sub {
		my ($which, $name) = @_;
		return "*65536\r\n" . ("*3\r\n:0\r\n:16383\r\n*2\r\n\$9\r\n127.0.0.1\r\n:1\r\n" x 65536);
	} ],
	'many small things' => [ qr/arrays are too large/, sub { return "*60000\r\n" . ("*6\r\n" . "+\r\n" x 6) x 60000 } ],
);
patient();
for my $what (sort keys %evil)
{
	my ($error, $answer) = @{ $evil{$what} };
	my $fake = CextFake->new(1, $answer);

	reload($node, 'cache_ext.redis_url' => url($fake->port(0)));
	for (1 .. 100)
	{
		is(sql(q{SELECT cached_json('evil', 'SELECT 1 AS v', 600)->0->>'v'}), '1', "$what: answered") if $_ == 1;
		sql(q{SELECT cached_json('evil', 'SELECT 1 AS v', 600)});
		last if last_error() =~ $error;
		usleep(50_000);
	}
	like(last_error(), $error, "$what: refused");
}
my @came = IO::Select->new($victim)->can_read(0);
is(scalar(@came), 0, 'nobody came along a path');

# --- many at once are not one question, which would have to be answered in the time for one

reload($node, 'cache_ext.redis_url' => url($master->port));
ok(wait_tier($node), 'a good server again');
{
	my $left = 1500;
	my $fake = CextFake->new(1, sub {
		my ($which, $name, $key) = @_;
		return simple($name) if $name ne 'GET';
		return $key !~ /:k:/ || $left-- > 0 ? "\$-1\r\n" : undef;
	});

	reload($node, 'cache_ext.redis_url' => url($fake->port(0)));
	my $misses = sql('SELECT redis_misses FROM cache_stats');
	is(sql(q{SELECT count(*) FROM cache_get_many((SELECT array_agg('k:' || g) FROM generate_series(1, 200000) g))}), '200000', 'very many keys');
	cmp_ok(sql('SELECT redis_misses FROM cache_stats'), '>', $misses, 'some are answered, before the server is gone');
}

$node->stop;
done_testing();

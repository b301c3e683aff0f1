# The history checker against a Redis that is troubled all the time, by one
# fault after the other: no answer is wrong, and no query fails.
#
# CEXT_FAULT_SECONDS	how long each; test/redis/faults prints the table of it
# CEXT_FAULTS			only those whose names match this

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextHistory;
use CextProxy;
use CextRedis;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();

my $seconds = $ENV{CEXT_FAULT_SECONDS} // 1;
my $only = $ENV{CEXT_FAULTS} // '.';
my $timeout = 100;

my $master = CextRedis->new('master', port => 1);
my $redis = CextRedis->new('main', port => 1, args => [ '--enable-debug-command', 'yes' ]);
my $proxy = CextProxy->new($redis);
my $node = history_node('main', conf() . sprintf q{
cache_ext.redis_url = '%s'
cache_ext.storage = 'redis'
cache_ext.redis_timeout = %d
cache_ext.redis_backoff_max = 400
max_connections = 30
}, $proxy->url, $timeout);

# How it comes, and how it goes.
sub config { my @args = @_; return sub { $redis->raw('CONFIG', 'SET', @args) } }
sub acl { my @args = @_; return sub { $redis->raw('ACL', 'SETUSER', 'default', @args) } }
sub mode { my ($mode) = @_; return sub { $proxy->mode($mode) } }

my @faults = (
	[ 'none', sub { }, sub { } ],
	[ 'killed', sub { $redis->kill_now }, sub { $redis->start } ],
	[ 'paused', sub { $redis->pause }, sub { $redis->continue } ],
	[ 'restarted empty', sub { $redis->kill_now; $redis->start }, sub { } ],
	[ 'flushed', sub { $redis->raw('FLUSHALL') }, sub { } ],
	[ 'out of memory', config('maxmemory', '1'), config('maxmemory', '0') ],
	[ 'read-only replica', sub { $redis->raw('REPLICAOF', '127.0.0.1', $master->port) }, sub { $redis->raw('REPLICAOF', 'NO', 'ONE') } ],
	[ 'loading', sub { $redis->raw('DEBUG', 'RELOAD') }, sub { } ],
	[ 'wrong password', sub { $redis->raw('CONFIG', 'SET', 'requirepass', 'x', ); $redis->raw('-a', 'x', 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') },
		sub { $redis->raw('-a', 'x', 'CONFIG', 'SET', 'requirepass', '') } ],
	[ 'GET forbidden', acl('-get'), acl('+get') ],
	[ 'SET forbidden', acl('-set'), acl('+set') ],
	map { my $m = $_; (my $name = $m) =~ tr/_/ /; [ $name, mode($m), mode('pass') ] } CextProxy::modes(),
);

# Inject it over and over, until told to end.
sub trouble
{
	my ($fault) = @_;
	my (undef, $begin, $end) = @$fault;
	my $time = Time::HiRes::time();

	while (Time::HiRes::time() < $time + $seconds)
	{
		$begin->();
		usleep(200_000 + rand 300_000);
		$end->();
		usleep(200_000 + rand 300_000);
	}
	return;
}

my @table = ([ 'fault', 'lookups', 'hits', 'wrong', 'failed', 'slowest', "over $timeout+10 ms", 'trips' ]);
for my $fault (grep { $_->[0] =~ /$only/ } @faults)
{
	my ($name) = @$fault;
	my $counters = 'SELECT redis_hits + redis_misses, redis_hits, (SELECT sum(trips) FROM cache_redis) FROM cache_stats';
	my @before = split /\|/, $node->safe_psql('postgres', $counters);
	my $offset = -s $node->logfile;

	# the clients in a process of their own, since Redis is this one's child
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my $builder = Test::More->builder;

		$builder->no_ending(1);
		$builder->is_passing(1);
		$builder->output(\my $discarded);
		my @violations = run_history($node, $seconds, 8);
		POSIX::_exit($builder->is_passing ? 0 : 1);
	}
	trouble($fault);
	waitpid($pid, 0);
	my $clients = $?;
	my @after = split /\|/, $node->safe_psql('postgres', $counters);
	my $log = slurp_file($node->logfile, $offset);
	my $wrong = () = $log =~ /history violation/g;
	my $failed = () = $log =~ /^[^\n]*\d\] (?:\S+ )?(?:ERROR|FATAL|PANIC): /mg;
	my @slow = sort { $b <=> $a } $log =~ /slow call: (\d+) ms/g;

	push @table, [ $name, $after[0] - $before[0], $after[1] - $before[1], $wrong, $failed,
		$slow[0] // '<20', scalar(grep { $_ > $timeout + 10 } @slow), $after[2] - $before[2] ];
	is($wrong, 0, "$name: no answer is wrong") or diag(join "\n", ($log =~ /(history violation.*)/g)[0 .. 4]);
	is("$failed, $clients", '0, 0', "$name: no query fails") or diag(join "\n", ($log =~ /((?:ERROR|FATAL|PANIC): .*)/g)[0 .. 4]);
	ok(wait_tier($node), "$name: recovers");
}
note sprintf '| %-17s | %8s | %8s | %5s | %6s | %7s | %14s | %5s |', @$_ for @table;

# something happened, or this means nothing; how much is a matter of the machine,
# and when as well
my $hits = 0;
$hits += $_->[2] for @table[1 .. $#table];
cmp_ok($hits, '>', 0, 'there were hits') if $only eq '.';
is($node->safe_psql('postgres', q{
	SELECT bool_and(cached_v(way, id) = v) FROM item, generate_series(0, 5) way}),
	't', 'the end is right by every way');
$node->stop;
done_testing();

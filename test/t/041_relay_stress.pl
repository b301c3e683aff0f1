# An application that keeps copies of rows in Redis, as docs/relay.md says it
# should, while many clients change the rows: when the last change has been
# relayed, no copy is older than its row.  The copies are filled all the while,
# by readers that are late on purpose.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextRelay;
use CextTest;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(usleep);

my $rows = 10;
my $seconds = $ENV{CEXT_STRESS_SECONDS} // 8;
plan skip_all => redis_missing() if defined redis_missing();

my $redis = CextRedis->new('stress');
my $node = new_node('main', conf => qq{
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.storage = shared_memory
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.redis_relay = on
});
setup($node);

# a flush concerns what committed before it is told, which may be told after it
$node->poll_query_until('postgres', q{SELECT state = 'on' AND flushes > 0 AND queue_length = 0 FROM cache_relay})
  or die 'the relay never began';
my $sub = CextRelay->new($redis->socket, 'cache_ext:invalidate:postgres');

# writers, whose commits take more or less long
my $script = PostgreSQL::Test::Utils::tempdir() . '/writer.sql';
append_to_file($script, qq{
\\set id random(1, $rows)
\\set id2 random(1, $rows)
SET cext_test.commit_jitter = 2000;
BEGIN;
UPDATE item SET v = v + 1 WHERE id = least(:id, :id2);
UPDATE item SET v = v + 1 WHERE id = greatest(:id, :id2);
END;
});
my $writers = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 12, '-T', $seconds, '-f', $script, '-h', $node->host,
		'-p', $node->port, 'postgres' ], '>', \my $out, '2>', \my $err);

# readers, each a process: lease, read, take a while, store if the lease holds
my $store = q{if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('SET', KEYS[1], ARGV[2]) else return 0 end};
my $until = time + $seconds;
my @readers;
sub read_on
{
	my ($n) = @_;
	my $app = CextRelay->new($redis->socket);
	my $db = $node->background_psql('postgres');
	my $stored = 0;

	while (time < $until)
	{
		my $id = 1 + int rand $rows;
		my $lease = "lease:$n:" . rand;

		$app->command('SET', "item:$id", $lease, 'NX', 'PX', 10000);
		next unless $app->reply;
		my $v = $db->query_safe("SELECT v FROM item WHERE id = $id");
		usleep(rand 3000);
		$app->command('EVAL', $store, 1, "item:$id", $lease, $v);
		$stored++ if $app->reply;
	}
	$db->quit;
	return $stored;
}

for my $n (1 .. 4)
{
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my $stored = eval { read_on($n) };

		warn $@ unless defined $stored;
		append_to_file($node->basedir . "/stored.$n", $stored // 0);
		POSIX::_exit(0);
	}
	push @readers, $pid;
}
waitpid $_, 0 for @readers;
$writers->finish;
like($out, qr/number of failed transactions: 0 /, 'all writers came through') or diag($err);

# the readers did something
my $stored = 0;
$stored += slurp_file($node->basedir . "/stored.$_") for 1 .. @readers;
cmp_ok($stored, '>', 10, 'copies were stored');

# all is relayed, in order
$node->poll_query_until('postgres', 'SELECT queue_length = 0 FROM cache_relay') or die 'not relayed';
$node->safe_psql('postgres', q{SELECT cache_invalidate('end')});
my ($last, $number, $seq, @disorder, @again) = ('', 0);
while ($sub->next ne 'key end')
{
	my $lsn = sprintf '%08s/%08s', split m{/}, $sub->{last}{lsn};

	push @disorder, "$lsn after $last" if $lsn lt $last;
	$last = $lsn;
	push @again, $sub->{last}{seq} if $sub->{last}{seq} != ($seq // $sub->{last}{seq} - 1) + 1;
	$seq = $sub->{last}{seq};
	$number++;
}
note "$number transactions relayed, $stored copies stored";
is_deeply(\@disorder, [], 'in the order of commits');
is_deeply(\@again, [], 'each one once');

# no copy is older than its row
my @stale;
for my $id (1 .. $rows)
{
	my $copy = $redis->cli('GET', "item:$id");
	my $v = $node->safe_psql('postgres', "SELECT v FROM item WHERE id = $id");

	push @stale, "$id: $copy, not $v" if $copy =~ /^\d+$/ && $copy != $v;
}
is_deeply(\@stale, [], 'no copy survives the last change');

$node->stop;
done_testing();

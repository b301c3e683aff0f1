# Standbys share what they store in Redis, and compute it once among them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextFake;
use CextRedis;
use CextRelay;
use CextTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $redis = CextRedis->new('shared');
my $primary = new_node('primary', allows_streaming => 1, conf => qq{
cache_ext.allow_in_recovery = on
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.coalesce_timeout = 10min
});
setup($primary);
$primary->safe_psql(
	'postgres', q{
	-- computing takes as long as somebody holds this lock
	CREATE FUNCTION slow() RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN (SELECT v FROM item WHERE id = 1);
	END$$;
	CREATE FUNCTION fails() RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN 1 / (SELECT v - 1 FROM item WHERE id = 1);
	END$$;
});
$primary->backup('base');
my @standbys;
for my $n (1, 2)
{
	my $s = PostgreSQL::Test::Cluster->new("standby$n");
	$s->init_from_backup($primary, 'base', has_streaming => 1);
	$s->start;
	$primary->wait_for_catchup($s);
	push @standbys, $s;
}
my ($one, $two) = @standbys;

sub call
{
	my ($key, $query) = @_;

	$query //= 'SELECT slow() AS v';
	return "SELECT cached_json('$key', '$query', 600)->0->>'v', (cache_last_status()).status, (cache_last_status()).tier";
}

sub lock_on
{
	my ($node) = @_;
	my $s = session($node);

	$s->query_safe('SELECT pg_advisory_lock(1)');
	return $s;
}

sub wait_computing
{
	my ($node) = @_;

	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'})
	  or die 'nobody computes';
	return;
}

sub misses { my ($node) = @_; return $node->safe_psql('postgres', 'SELECT redis_misses FROM cache_stats'); }

# has been refused the claim: has asked for the entry again, and does not compute
sub wait_waiting
{
	my ($node, $misses) = @_;

	$node->poll_query_until('postgres', "SELECT redis_misses >= $misses + 2 FROM cache_stats")
	  or die 'nobody waits';
	return;
}

is($one->safe_psql('postgres', call('a', 'SELECT v FROM item WHERE id = 1')),
	'1|miss|', 'computed on one');
is($two->safe_psql('postgres', call('a', 'SELECT v FROM item WHERE id = 1')),
	'1|hit|redis', 'found by the other');
is($two->safe_psql('postgres', call('a', 'SELECT v FROM item WHERE id = 1')),
	'1|hit|shared_memory', 'and kept');
is($primary->safe_psql('postgres', call('a', 'SELECT v FROM item WHERE id = 1')),
	'1|miss|', 'not by the primary, which has an epoch of its own');

# what one is asked to invalidate it does not take from the others, whose stamps
# are not of its clock
$one->safe_psql('postgres', "SELECT cache_invalidate('other:$_')") for 1 .. 5;
for ([ 'i:1', "cache_invalidate('i:1')" ], [ 'j:1', "cache_invalidate('j*1')" ], [ 'k:1', 'cache_clear()' ])
{
	my ($key, $how) = @$_;
	my $read = call($key, 'SELECT v FROM item WHERE id = 1');

	is($one->safe_psql('postgres', $read), '1|miss|', "$how: computed on one");
	is($two->safe_psql('postgres', $read), '1|hit|redis', "$how: found by the other");
	$two->safe_psql('postgres', "SELECT $how");
	is($two->safe_psql('postgres', $read), '1|miss|', "$how: computed anew");
}
$two->restart;

# one computes, the other takes its result
my $lock = lock_on($one);
my $s1 = session($one);
my $s2 = session($two);
begin_query($s1, call('slow'));
wait_computing($one);
my $misses = misses($two);
begin_query($s2, call('slow'));
wait_waiting($two, $misses);
is($redis->cli('EXISTS', grep { /:claim$/ } split /\n/, $redis->cli('KEYS', '*slow*')),
	1, 'the claim is there');
$lock->quit;
is(end_query($s1), '1|miss|', 'the first computes');
is(end_query($s2), '1|hit|redis', 'the second waits for it');
is($two->safe_psql('postgres', 'SELECT fills FROM cache_stats'), '0', 'and computes nothing');
unlike($redis->cli('KEYS', '*'), qr/:claim$/m, 'the claim is given back');

# the first fails: the second takes over, without waiting for the claim's time
$lock = lock_on($one);
begin_query($s1, call('bad', 'SELECT fails() AS v'));
wait_computing($one);
$misses = misses($two);
begin_query($s2, call('bad', 'SELECT fails() AS v'));
wait_waiting($two, $misses);
$lock->quit;
like(end_query($s1), qr/division by zero/, 'the first fails');
like(end_query($s2), qr/division by zero/, 'the second computes, and fails as well');
unlike($redis->cli('KEYS', '*'), qr/:claim$/m, 'no claim is left');

# the first takes too long
$lock = lock_on($one);
begin_query($s1, call('long'));
wait_computing($one);
is($s2->query_safe('SET cache_ext.coalesce_timeout = 500; ' . call('long')), '1|miss|',
	'nobody waits longer than coalesce_timeout');
$lock->quit;
is(end_query($s1), '1|miss|', 'the first gets its own');

# the first has stored it and let go after the second has asked for it, and before
# it asks for the claim once more
$one->safe_psql('postgres', call('between', 'SELECT v FROM item WHERE id = 1'));
my ($name) = $redis->keys('*:between:*');
my $real = CextRelay->new($redis->socket);
$real->command('GET', $name);
my $entry = $real->reply;
my $claims = 0;
my $fake = CextFake->new(1, sub {
	my ($which, $command) = @_;

	return ":1\r\n" if $command eq 'EVAL';
	return $claims++ > 0 ? "+OK\r\n" : "\$-1\r\n" if $command eq 'SET';
	return $claims > 1 ? '$' . length($entry) . "\r\n$entry\r\n" : "\$-1\r\n";
});
reload($two, 'cache_ext.redis_url' => 'redis://127.0.0.1:' . $fake->port(0));
is($two->safe_psql('postgres', call('between', 'SELECT v FROM item WHERE id = 1')),
	'1|hit|redis', 'what has come meanwhile is taken');
is(join(' ', map { (split)[1] } $fake->log), 'GET SET GET SET GET EVAL', '... and the claim given back');

# promotion ends the sharing
$primary->stop;
$one->promote;
is($one->safe_psql('postgres', call('a', 'SELECT v FROM item WHERE id = 1')),
	'1|miss|', 'promoted: nothing of recovery is used');

$_->stop for @standbys;
done_testing();

# The relay: what a transaction invalidates is dropped from the application's
# keys in Redis and announced, once it has committed, in the order of commits,
# at least once; what cannot be told is told as a flush.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextRelay;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();

my $redis = CextRedis->new('relay', args => [ '--appendonly', 'yes' ]);
my $node = new_node('main', allows_streaming => 1, conf => qq{
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.storage = shared_memory
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.redis_backoff_max = 100ms
cache_ext.redis_relay_queue = 64kB
});
setup($node);
$node->safe_psql('postgres', 'CREATE TABLE plain (a integer)');

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub relay { my ($column) = @_; return sql("SELECT $column FROM cache_relay"); }

sub wait_for
{
	my ($condition) = @_;

	$node->poll_query_until('postgres', "SELECT $condition FROM cache_relay")
	  or die "never: $condition";
	return;
}

sub set_config
{
	my ($setting, $to) = @_;

	sql("ALTER SYSTEM SET $setting = $to");
	$node->reload;
	return;
}

sub invalidate { my ($key) = @_; return "SELECT cache_invalidate('$key')"; }

my $channel = 'cache_ext:invalidate:postgres';
my $sub = CextRelay->new($redis->socket, $channel);
my $all = CextRelay->new($redis->socket, 'cache_ext:invalidate:');

# off, as by default
$redis->cli('SET', 'off', 1);
is(relay('state'), 'off', 'off by default');
sql(invalidate('off'));

# a transaction that began while it was off, and commits when it is on
my $early = session($node);
$early->query_safe('BEGIN');
$early->query_safe(invalidate('early'));
set_config('cache_ext.redis_relay', 'on');
wait_for(q{state = 'on'});
is($sub->next, 'flush enabled', 'turned on: what was missed is not known');
is($redis->cli('EXISTS', 'off'), 1, 'while off, nothing was dropped');
is($all->next, 'flush enabled', 'told on the channel without a database too');
is($all->{last}{database}, undef, 'which names none');
$early->query_safe('COMMIT');
is($sub->next, 'flush enabled', 'what was invalidated before it was on');
is(relay('overflowed'), 0, '... which has nothing to do with room');

# what is told
$redis->cli('MSET', map { ("k:$_", 1) } 1 .. 5);
sql(invalidate('k:1'));
is($sub->next, 'key k:1', 'a key');
my $seq = $sub->{last}{seq};
is_deeply([ sort keys %{ $sub->{last} } ], [qw(database events lsn seq version)], 'members');
is($sub->{last}{version}, 1, 'version');
is($sub->{last}{database}, 'postgres', 'database');
like($sub->{last}{lsn}, qr{^[0-9A-F]+/[0-9A-F]+$}, 'LSN');
is($redis->cli('EXISTS', 'k:1'), 0, 'is gone when it is told');
is($redis->cli('EXISTS', 'k:2'), 1, 'others are not');
sql('BEGIN; ' . invalidate('k:2') . '; ROLLBACK');
sql('BEGIN; ' . invalidate('k:3') . '; SAVEPOINT a; ' . invalidate('k:2') . '; ROLLBACK TO a; '
	  . invalidate('k:4') . '; SAVEPOINT b; ' . invalidate('k:3') . '; SAVEPOINT c; '
	  . invalidate('k:5') . '; RELEASE c; RELEASE b; COMMIT');
is($sub->next, 'key k:3, key k:4, key k:5', 'savepoints: one event, each key once');
is($sub->{last}{seq}, $seq + 1, 'numbered');
is($redis->cli('MGET', map { "k:$_" } 1 .. 5), "\n1\n\n\n", 'what was rolled back stays');
sql('BEGIN; SAVEPOINT a; ' . invalidate('k:5') . '; ROLLBACK TO a; ' . invalidate('k:5') . '; COMMIT');
is($sub->next, 'key k:5', 'a key again, whose first time was rolled back');
sql('UPDATE item SET v = v + 1 WHERE id IN (1, 2)');
is($sub->next, 'key item:1, pattern g*b:1, key item:2, pattern g*b:2', 'a trigger');
sql(q{SELECT cache_invalidate_table('plain'); SELECT cache_clear()});
is($sub->next, 'table public plain', 'a table');
is($sub->next, 'clear', 'everything');
sql(q{SELECT cache_set('value', '1')});
is($sub->next, 'key value', 'a value that is set');
sql(q{SELECT cache_delete('value')});
is($sub->next, 'key value', '... and deleted');
sql(q{CREATE TEMP TABLE t (a int); SELECT cache_attach('t'); INSERT INTO t VALUES (1); }
	  . invalidate('end'));
is(($sub->until('key end'))[-2] // '', '', 'a temporary table is nobody else\'s');

# several times around the queue, whose end no message fits exactly
sub long_key { my ($n) = @_; return "around:$n:" . 'x' x ($n * 37 % 900); }

my $overflows = relay('overflowed');
foreach my $lap (0 .. 9)
{
	my @keys = map { long_key(50 * $lap + $_) } 1 .. 50;

	sql(join '; ', map { ('BEGIN', invalidate($_), 'COMMIT') } @keys);
	is_deeply([ $sub->until("key $keys[-1]") ], [ map { "key $_" } @keys ], "in order, around the queue, $lap");
}
is(relay('overflowed'), $overflows, 'there was room for all');

# patterns
$redis->cli('MSET', map { ($_, 1) } 'p:1', 'p:22', 'p:1:x', 'q*:1', 'qq:1', "p:\xc3\xa9",
	'cache_ext:postgres:p:1', '*p', 'px');
sql(invalidate('p:?'));
is($sub->next, 'pattern p:?', 'a pattern');
is($redis->cli('EXISTS', 'p:1', "p:\xc3\xa9"), 0, '... dropped what matches, a character of two bytes too');
is($redis->cli('EXISTS', 'p:22', 'p:1:x', 'px'), 3, '... and nothing else');
sql(q{SELECT cache_invalidate('q\*:*')});
is($sub->next, 'pattern q\*:*', 'an escape');
is($redis->cli('EXISTS', 'q*:1'), 0, '... dropped');
is($redis->cli('EXISTS', 'qq:1'), 1, '... not what it does not mean');
sql(q{SELECT cache_invalidate(E'j"\\\\\\\\\x07')});
is($sub->next, qq{key j"\\\x07}, 'what JSON has to escape');
sql(invalidate('*'));
is($sub->next, 'pattern *', 'any key at all: told');
is($redis->cli('EXISTS', 'p:22', 'p:1:x', 'px'), 3, '... and not done, without a prefix');
$redis->cli('MSET', map { ($_, 1) } 'long:' . 'y' x 1020, 'long:z', 'lon');
sql(q{CREATE TABLE doc (t text); SELECT cache_attach('doc', 'long:{t}?*'); INSERT INTO doc SELECT repeat('y', 20000)});
is(($sub->until('pattern long:' . 'y' x 1019 . '*'))[-1], 'pattern long:' . 'y' x 1019 . '*',
	'a pattern longer than any key: cut down to what it starts with');
is($redis->cli('EXISTS', 'long:' . 'y' x 1020), 0, '... and drops more');
is($redis->cli('EXISTS', 'long:z', 'lon'), 2, '... but not everything');
sql(invalidate('cache_ext:*'));
$sub->next;
sql(invalidate('cache_ext:postgres:p:1'));
$sub->next;
is($redis->cli('EXISTS', 'cache_ext:postgres:p:1'), 1, 'our own entries are not touched');

# many keys, of which a sweep has to see all
$redis->cli('EVAL', 'for i = 1, 30000 do redis.call("SET", ARGV[1] .. i, 1) end', 0, 'many:');
my $events = sql('BEGIN; ' . invalidate('many:*5') . '; ' . invalidate('many:1*') . '; COMMIT');
sql(invalidate('other:*'));
is($sub->next, 'pattern many:*5, pattern many:1*', 'a long sweep');
is($redis->cli('EVAL', 'return #redis.call("KEYS", "many:*")', 0),
	scalar(grep { !/5$/ && !/^1/ } 1 .. 30000), '... dropped all it should');
is($sub->next, 'pattern other:*', 'the next');

# a prefix
set_config('cache_ext.redis_relay_prefix', "'app[1]:'");
sql(q{SELECT pg_reload_conf()});
$redis->cli('MSET', map { ($_, 1) } 'a', 'app[1]:a', 'app1:a', 'app[1]:b', 'cache_ext:b', 'b');
sql(invalidate('nothing')) until sql('SHOW cache_ext.redis_relay_prefix') eq 'app[1]:';
sql(invalidate('a'));
$sub->until('key a');
if ($redis->cli('EXISTS', 'app[1]:a'))
{
	# the worker was later to read the setting
	sql(invalidate('a')), $sub->until('key a') while $redis->cli('EXISTS', 'app[1]:a');
	$redis->cli('SET', 'a', 1);
}
is($redis->cli('EXISTS', 'a', 'app1:a'), 2, 'with a prefix: only keys that have it');
sql(invalidate('*'));
is($sub->next, 'pattern *', 'with a prefix: any key');
is($redis->cli('EXISTS', 'app[1]:b'), 0, '... of those with the prefix');
is($redis->cli('EXISTS', 'b', 'app1:a', 'cache_ext:b'), 3, '... of no others');
$redis->cli('SET', 'app[1]:c', 1);
sql('SELECT cache_clear()');
is($sub->next, 'clear', 'with a prefix: everything');
is($redis->cli('EXISTS', 'app[1]:c'), 0, '... of those with the prefix');
set_config('cache_ext.redis_relay_prefix', "''");

# order: one whose commit record comes first, and who is late to say so
my $holder = session($node);
my $late = session($node);
$late->query_safe(q{SET cext_test.pause = 'commit'});
hold($holder, 'commit');
$sub->nothing($node);
begin_query($late, 'UPDATE item SET v = v + 1 WHERE id = 1');
wait_paused($node, $late, 'commit');
sql('UPDATE item SET v = v + 1 WHERE id = 2');
wait_for('queue_length = 1');
release($holder, 'commit');
end_query($late);
is($sub->next, 'key item:1, pattern g*b:1', 'the first to commit is told first');
my $first = $sub->{last}{lsn};
is($sub->next, 'key item:2, pattern g*b:2', 'though the second was done before');
isnt($sub->{last}{lsn}, $first, 'with an LSN each');

# ... one that was ready to commit first, and committed last
$late->query_safe(q{SET cext_test.pause = 'pre_commit'});
hold($holder, 'pre_commit');
begin_query($late, 'UPDATE item SET v = v + 1 WHERE id = 1');
wait_paused($node, $late, 'pre_commit');
sql('UPDATE item SET v = v + 1 WHERE id = 2');
wait_for('queue_length = 1');
release($holder, 'pre_commit');
end_query($late);
is($sub->next, 'key item:2, pattern g*b:2', 'the first to commit is told first');
is($sub->next, 'key item:1, pattern g*b:1', 'the other was ready before');

# ... and then did not
hold($holder, 'pre_commit');
begin_query($late, 'UPDATE item SET v = v + 1 WHERE id = 1');
wait_paused($node, $late, 'pre_commit');
sql('UPDATE item SET v = v + 1 WHERE id = 2');
wait_for('queue_length = 1');
sql('SELECT pg_terminate_backend(' . pid_of($late) . ')');
wait_gone($node, $late);
is($sub->next, 'key item:2, pattern g*b:2', 'a backend that ends before its commit holds nobody up');
release($holder, 'pre_commit');
$late->{run}->kill_kill;
is($sub->nothing($node), '', '... and is not told of');

# ... one that waits for a standby
sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('synchronous_standby_names') = 'nobody'});
# commits wait once the checkpointer has seen it, which it has before the second of two
sql('CHECKPOINT') for 1 .. 2;
my $sync = session($node);
$sync->query_safe('SET synchronous_commit = on');
begin_query($sync, 'UPDATE item SET v = v + 1 WHERE id = 3');
$node->poll_query_until('postgres',
	"SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = " . pid_of($sync))
  or die 'does not wait';
$node->safe_psql('postgres', 'SET synchronous_commit = local; UPDATE item SET v = v + 1 WHERE id = 4');
wait_for('queue_length = 1');
sql('SELECT pg_cancel_backend(' . pid_of($sync) . ')');
like(end_query($sync), qr/canceling wait/, 'no longer waits for the standby');
is($sub->next, 'key item:3, pattern g*b:3', 'it had committed first');
is($sub->next, 'key item:4, pattern g*b:4', 'the other had not waited');
sql('ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
$sync->quit;

# Redis away for a while
my $worker = relay('pid');
$redis->cli('SET', 'away:1', 1);
$redis->stop;
sql(invalidate("away:$_")) for 1 .. 3;
wait_for(q{state = 'retrying' AND queue_length = 3});
like(relay('last_error'), qr/\w/, 'why it waits');
kill 'STOP', $worker;
$redis->start;
usleep(10_000) while $redis->cli('PING') =~ /LOADING/;
is($redis->cli('EXISTS', 'away:1'), 1, 'Redis is back, with an old key');
$sub = CextRelay->new($redis->socket, $channel);
kill 'CONT', $worker;
is_deeply([ $sub->until('key away:3') ], [ map { "key away:$_" } 1 .. 3 ], 'nothing is lost');
is($redis->cli('EXISTS', 'away:1'), 0, '... and done');

# the worker ends, with work to do; nothing else may be told twice
wait_for('queue_length = 0');
$redis->pause;
sql(invalidate("worker:$_")) for 1 .. 3;
kill 'TERM', $worker;
wait_for("pid <> $worker");
$redis->continue;
is(join(' ', grep { !/worker:1/ } $sub->until('key worker:3')), 'key worker:2 key worker:3',
	'the next worker goes on');

# the server restarts, with work to do
wait_for('queue_length = 0');
$redis->pause;
sql(invalidate("restart:$_")) for 1 .. 3;
$node->restart;
sql(invalidate('restart:4'));
$redis->continue;
is((grep { !/(worker|restart):[123]/ } $sub->until('key restart:4'))[0], 'key restart:4',
	'a clean restart loses nothing');
is(relay('flushes'), 0, '... and needs no flush');

# too much for one transaction
my $lost = relay('overflowed');
sql(q{SELECT cache_invalidate_many(array_agg('much:' || g)) FROM generate_series(1, 3000) g});
is($sub->next, 'flush overflow', 'more than the queue takes from one transaction');
is(relay('overflowed'), $lost + 1, '... is counted');
sql(q{BEGIN; SAVEPOINT a; SELECT cache_invalidate_many(array_agg('much:' || g)) FROM generate_series(1, 3000) g; }
	  . 'ROLLBACK TO a; ' . invalidate('small') . '; COMMIT');
is($sub->next, 'key small', '... unless it is rolled back');
sql(q{BEGIN; SAVEPOINT a; SELECT cache_invalidate_many(array_agg('much:' || g)) FROM generate_series(1, 3000) g; }
	  . 'RELEASE a; ' . invalidate('small') . '; COMMIT');
is($sub->next, 'flush overflow', '... in a subtransaction');
sql(q{BEGIN; SAVEPOINT a; SAVEPOINT b; SELECT cache_invalidate_many(array_agg('much:' || g)) FROM generate_series(1, 3000) g; }
	  . 'RELEASE b; ROLLBACK TO a; ' . invalidate('small') . '; COMMIT');
is($sub->next, 'key small', '... whose parent is rolled back');
sql(q{BEGIN; SELECT cache_invalidate_many(array_agg('much:' || g)) FROM generate_series(1, 3000) g; ROLLBACK});
is($sub->nothing($node), '', '... or all is');

# too much in all; what came before has been told, but may not be known to have
# been, and takes room until it is
wait_for('queue_used = 0 AND queue_length = 0');
$lost = relay('overflowed');
$redis->pause;
sql(join ';', map { invalidate("full:$_:" . 'x' x 500) } 1 .. 200);
cmp_ok(relay('overflowed'), '>', $lost, 'the queue is full');
cmp_ok(relay('queue_used'), '<=', relay('queue_size'), '... and no fuller');
my $queued = relay('queue_length');
$redis->continue;
my @full = $sub->until('flush overflow');
wait_for('queue_used = 0 AND queue_length = 0');
push @full, split /; /, $sub->nothing($node);
my %told = map { /^key full:(\d+):x+$/ ? ($1 => 1) : () } @full;
is(join(' ', sort { $a <=> $b } keys %told), join(' ', 1 .. $queued), '... what is in it is told, and the rest is a flush');
is($sub->nothing($node) =~ s/flush overflow(; )?//gr, '', 'and that is all');

# prepared transactions
sql('BEGIN; UPDATE item SET v = 9 WHERE id = 5; PREPARE TRANSACTION $$one$$');
sql('BEGIN; UPDATE item SET v = 9 WHERE id = 6; PREPARE TRANSACTION $$two$$');
sql('BEGIN; UPDATE item SET v = 9 WHERE id = 7; PREPARE TRANSACTION $$three$$');
is($sub->nothing($node), '', 'prepared: nothing yet');
sql('ROLLBACK PREPARED $$two$$');
sql('COMMIT PREPARED $$one$$');
is($sub->next, 'flush prepared', 'committed: keys that nobody knows');
is($sub->nothing($node), '', 'rolled back: nothing');
wait_for('queue_length = 0');	# or one may be told twice
$node->restart;
is($sub->nothing($node), '', 'restarted: nothing yet');
my $nobody = session($node);	# has not used the cache
$nobody->query_safe('COMMIT PREPARED $$three$$');
is($sub->next, 'flush prepared', 'prepared before a restart');
$nobody->quit;

# names
$node->safe_psql('postgres', q{CREATE DATABASE "a ""b"" é:*"; CREATE DATABASE ascii
	ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0; CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0});
my $strange = CextRelay->new($redis->socket, qq{cache_ext:invalidate:a "b" \xc3\xa9:*},
	'cache_ext:invalidate:ascii', 'cache_ext:invalidate:latin');
for my $db (qq{a "b" \xc3\xa9:*}, 'ascii', 'latin')
{
	$node->safe_psql($db, 'CREATE EXTENSION cache_ext; ' . invalidate('created'));
	is(($strange->until('key created'))[-1], 'key created', 'a database of its own');
	is($strange->{last}{database}, $db =~ s/\xc3\xa9/\xe9/r, '... by its name');
}
$redis->cli('MSET', "l:\xc3\xa9", 1, "l:\xe9", 1);
$node->safe_psql('latin', q{SET client_encoding = latin1; SELECT cache_invalidate(E'l:\351')});
is($strange->next, "key l:\xe9", 'a key in Latin-1 is told in UTF-8');
is($redis->cli('EXISTS', "l:\xc3\xa9"), 0, '... and dropped as such');
$node->safe_psql('ascii', q{SELECT cache_invalidate(E'l:\351')});
is($strange->next, 'key 6c3ae9', 'what is no text is told in hexadecimal');
is($redis->cli('EXISTS', "l:\xe9"), 0, '... and dropped as it is');

# what Redis does not let us do holds nobody up
my $failed = relay('failed');
$redis->cli('SET', 'mine:1', 1);
$redis->cli('ACL', 'SETUSER', 'default', 'resetkeys', '~yours:*');
sql(invalidate('mine:1'));
is($sub->next, 'key mine:1', 'a key that Redis protects: told');
is(relay('failed'), $failed + 1, '... and counted');
$redis->cli('ACL', 'SETUSER', 'default', 'allkeys');
is($redis->cli('EXISTS', 'mine:1'), 1, '... and still there');

# ... but a refusal that will end is waited for
$redis->cli('SET', 'replica:1', 1);
$redis->cli('REPLICAOF', '127.0.0.1', '1');
sql(invalidate('replica:1'));
wait_for(q{state = 'retrying' AND last_error ~ 'READONLY'});
$redis->cli('REPLICAOF', 'NO', 'ONE');
is($sub->next, 'key replica:1', 'refused by a replica: told when it is none any more');
is($redis->cli('EXISTS', 'replica:1'), 0, '... and dropped');

# a crash
my $victim = session($node);
kill 'KILL', pid_of($victim);
$victim->{run}->kill_kill;
is($sub->next, 'flush restart', 'after a crash, the first event is a flush');
$node->poll_query_until('postgres', 'SELECT true');
is($sub->nothing($node), '', 'and all goes on');

# off again
sql('ALTER SYSTEM RESET cache_ext.redis_relay');
$node->reload;
wait_for(q{state = 'off'});
sql(invalidate('off:2'));
set_config('cache_ext.redis_relay', 'on');
is($sub->next, 'flush enabled', 'and on again');

$holder->quit;
$node->stop;

# what another library invalidates late in the commit; see 015_late_writer.pl
my $second = new_node('late', conf => qq{
shared_preload_libraries = 'cext_test, cache_ext'
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.storage = shared_memory
cache_ext.redis_relay = on
});
setup($second);
# what setup() did has been told, too
$second->poll_query_until('postgres', q{SELECT state = 'on' AND flushes > 0 AND queue_length = 0 FROM cache_relay})
  or die 'the relay never began';
$sub = CextRelay->new($redis->socket, $channel);
$second->safe_psql('postgres', q{BEGIN; SET LOCAL cext_test.pre_commit_sql = 'SELECT cache_invalidate(''late'')';
	SELECT cache_invalidate('in time'); COMMIT});
is(join(' ', sort { $a cmp $b } $sub->next, $sub->next), 'flush late key in time', 'too late to be told: a flush besides');
is($second->safe_psql('postgres', 'SELECT overflowed FROM cache_relay'), '0', '... and no want of room');
$second->stop;
done_testing();

# A clean restart keeps the entries, any other begins with an empty cache; answers
# are right whatever was going on before; a transaction prepared before it still
# invalidates when it commits.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
setup($node);

my $rows = "SELECT count(*) FILTER (WHERE length(t) = 50 AND t LIKE g || 'x%'), (cache_last_status()).status"
  . " FROM cached_query('rows', 'SELECT g, rpad(g::text, 50, ''x'') FROM generate_series(1, 60000) g', 600) AS r(g integer, t text)";
$node->safe_psql('postgres', "ALTER SYSTEM SET cache_ext.max_entry_size = '16MB'; SELECT pg_reload_conf()");
is($node->safe_psql('postgres', $rows), '60000|miss', 'a long result');
is(read_now($node, 4), '1|miss', 'filled');
is(read_now($node, 1), '1|miss', 'filled');
is(read_now($node, 1), '1|hit', 'cached');
$node->safe_psql('postgres', q{SELECT cache_set('value', '1')});

sub prepare_two
{
	$node->safe_psql(
		'postgres', q{
		BEGIN; UPDATE item SET v = v + 1 WHERE id = 1; PREPARE TRANSACTION 'one';
		BEGIN; UPDATE item SET v = v + 1 WHERE id = 2; PREPARE TRANSACTION 'two';});
	return;
}

# After a restart: the old rows are cached as long as they are the right ones,
# and not longer.
sub check_restarted
{
	my ($how, $v, $other) = @_;
	my $next = $v + 1;

	$other //= 3;
	is($node->safe_psql('postgres', q{SELECT cache_get('value') IS NULL}),
		't', "$how: no values");
	is(read_now($node, 1), "$v|miss", "$how: row with a prepared change is read");
	is(read_now($node, 1), "$v|hit", "$how: and cached while the change is not committed");
	is(read_now($node, 2), '1|miss', "$how: the other");
	is(read_now($node, $other), '1|miss', "$how: and one that nobody changes");

	# from another session than the one that prepared
	$node->safe_psql('postgres', q{COMMIT PREPARED 'one'});
	is(read_now($node, 1), "$next|miss", "$how: COMMIT PREPARED invalidates");
	is(read_now($node, 1), "$next|hit", "$how: and what is read then is cached");
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'two'});
	like(read_now($node, 2), qr/^1\|/, "$how: ROLLBACK PREPARED leaves the row");
	is(read_now($node, 2), '1|hit', "$how: and it can be cached");
	return;
}

# nothing prepared: all is kept
$node->restart;
is(read_now($node, 1), '1|hit', 'clean restart: rows are kept');
is($node->safe_psql('postgres', $rows), '60000|hit', 'clean restart: and a long result');
is($node->safe_psql('postgres', q{SELECT cache_get('value')}), '1', 'clean restart: and values');
$node->safe_psql('postgres', 'UPDATE item SET v = 1 WHERE id = 1');
is(read_now($node, 1), '1|miss', 'clean restart: they can be invalidated');
is($node->safe_psql('postgres', q{SELECT hits > 0 FROM cache_stats_by_namespace WHERE namespace = 'rows'}), 't',
	'clean restart: and are counted where they belong');

# another build may mean something else by the same bytes
is(read_now($node, 3), '1|miss', 'filled');
$node->stop;
my $state = $node->data_dir . '/cache_ext.state';
open my $fh, '+<:raw', $state or die "$state: $!";
seek $fh, 4, 0;
read($fh, my $build, 4) == 4 or die "$state: too short";
seek $fh, 4, 0;
print $fh ~$build;
close $fh;
my $logged = -s $node->logfile;
$node->start;
like(slurp_file($node->logfile, $logged), qr/cache_ext\.state" is of another build of cache_ext, the cache starts empty/,
	"another build's file is refused");
is($node->safe_psql('postgres', 'SELECT entries FROM cache_stats'), '0', '... and nothing of it is loaded');
ok(!-e $state, '... and it is gone');
is(read_now($node, 3), '1|miss', '... and the row is read again');
is(read_now($node, 3), '1|hit', '... and cached');

# what cannot be written at shutdown, and what is not for this server to read
my $temporary = $node->data_dir . '/cache_ext.state.tmp';
for my $trouble ([ 'no space', sub { symlink('/dev/full', $temporary) or die $! }, 'write' ],
	[ 'no file', sub { mkdir $temporary or die $! }, 'create' ])
{
	my ($what, $make, $cannot) = @$trouble;
	my $offset = -s $node->logfile;

	like(read_now($node, 1), qr/^1\|/, "$what: in use");
	$make->();
	$node->stop;
	ok($node->log_contains(qr/could not $cannot file "cache_ext.state.tmp"/, $offset), "$what: said so");
	ok(!-e $node->data_dir . '/cache_ext.state', "$what: nothing half written is left");
	$node->start;
	is(read_now($node, 1), '1|miss', "$what: the cache starts empty");
	rmdir $temporary;
}
ok(!-l $temporary, 'what could not be written is removed');
my $damaged = -s $node->logfile;
$node->stop;
truncate $node->data_dir . '/cache_ext.state', 10 or die $!;
$node->start;
ok($node->log_contains(qr/file "cache_ext.state" is damaged/, $damaged), 'a file cut short is damaged');
is(read_now($node, 1), '1|miss', '... and not read');

# the patterns of a prepared transaction are not known after a restart
prepare_two();
$node->restart;
check_restarted('clean restart', 1);

prepare_two();
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT entries, memory_used FROM cache_stats'),
	'0|0', 'immediate shutdown: the cache starts empty');
check_restarted('immediate shutdown', 2);

# nobody used the cache between the restart and COMMIT PREPARED
prepare_two();
$node->restart;
$node->safe_psql('postgres', q{COMMIT PREPARED 'one'; ROLLBACK PREPARED 'two'});
is(read_now($node, 1), '4|miss', 'COMMIT PREPARED before the first call');
is(read_now($node, 1), '4|hit', 'nothing is left in flight');

# it commits while a fill goes on
my $holder;
my $reader;
sub start_slow
{
	my ($point) = @_;

	$reader = session($node);
	$reader->query_safe("SET cext_test.pause = '$point'");
	hold($holder, $point);
	begin_query($reader, cached(1));
	wait_paused($node, $reader, $point);
	return;
}

sub end_slow
{
	my ($point) = @_;

	release($holder, $point);
	my $result = end_query($reader);
	$reader->quit;
	return $result;
}

prepare_two();
$node->restart;
$holder = session($node);
is(read_now($node, 3), '1|miss', 'another row is read first');
start_slow('start');
$node->safe_psql('postgres', q{COMMIT PREPARED 'one'; ROLLBACK PREPARED 'two'});
is(end_slow('start'), '4|miss', 'a slow reader sees the row of before');
is(read_now($node, 1), '5|miss', 'but does not leave it to others');
$holder->quit;

# without background workers, the first session to use the cache finds them
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 40');
$node->safe_psql('postgres', 'UPDATE item SET v = 1 WHERE id = 1');
$node->restart;
$node->safe_psql('postgres', "BEGIN; INSERT INTO item VALUES (100 + $_, 0); PREPARE TRANSACTION 'more $_'") for 1 .. 20;
prepare_two();
$node->restart;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'cache_ext%'}),
	'0', 'no background worker');
check_restarted('no worker', 1, 6);
$node->safe_psql('postgres', "ROLLBACK PREPARED 'more $_'") for 1 .. 20;

# one that was prepared since the start is known by its tags
$node->restart;
$node->safe_psql('postgres', q{BEGIN; SELECT cache_invalidate('item:4'); PREPARE TRANSACTION 'since'});
is(read_now($node, $_), '1|miss', "prepared before the first call: row $_ is read") for 4, 5;
$node->safe_psql('postgres', q{COMMIT PREPARED 'since'});
is(read_now($node, 5), '1|hit', 'the commit leaves alone what it does not concern');
is(read_now($node, 4), '1|miss', 'and no more');

$node->stop;
done_testing();

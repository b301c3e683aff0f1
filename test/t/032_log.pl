# cache_ext.log_operations, and what verification logs.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
setup($node);

# run a statement; return our lines in the log
sub logged
{
	my ($sql) = @_;
	my $start = -s $node->logfile;

	my $err = '';
	$node->psql('postgres', $sql, stderr => \$err);
	is($err, '', 'nothing of it reaches the client');
	my $log = substr(slurp_file($node->logfile), $start);
	return join('', map { /LOG:\s+(?:cache_ext: )?(operation=.*|cached result .*|could not verify .*)/ ? "$1\n" : () } split(/\n/, $log));
}

my $get = q{SELECT cached_json('item:1', 'SELECT v FROM item WHERE id = 1', 60)};
my $ms = qr/ms=\d+\.\d{3}/;

is(logged($get), '', 'nothing is logged by default');
like(logged("SET cache_ext.log_operations = 'all'; $get"), qr/^operation=hit key="item:1" $ms saved_$ms\n$/, 'a hit');
is(logged("SET cache_ext.log_operations = 'miss, set'; $get"), '', 'only the kinds asked for');
like(logged(q{SET cache_ext.log_operations = 'all'; SELECT cached_json(E'odd\n"key"', 'SELECT 1', 60)}),
	qr/^operation=miss key="odd\\n\\"key\\"" $ms query_$ms stored=true\n$/, 'a miss, in one line whatever the key');
like(logged(q{SET cache_ext.log_operations = 'bypass'; SELECT cached_json('x', 'SELECT random()', 60)}),
	qr/^operation=bypass key="x" $ms reason="volatile function"\n$/, 'a bypass, with the reason');
like(logged(q{SET cache_ext.log_operations = 'all'; SELECT cache_set('v', '[1, 2]'); SELECT cache_get('v'); SELECT cache_delete('v'); SELECT cache_get('v')}),
	qr/^operation=set key="v" $ms bytes=\d+\noperation=commit $ms tags=1 patterns=0\noperation=hit key="v" $ms kind=value\noperation=delete key="v" $ms bytes=0\noperation=commit $ms tags=1 patterns=0\noperation=miss key="v" $ms kind=value\n$/,
	'values');
like(logged(q{SET cache_ext.log_operations = 'invalidate'; SELECT cache_invalidate('item:*'); SELECT cache_invalidate_many('{a,b*c}'); SELECT cache_invalidate_table('item'); SELECT cache_clear()}),
	qr/^operation=invalidate key="item:\*" $ms entries=1\noperation=commit $ms tags=1 patterns=0
operation=invalidate key="a" $ms entries=0\noperation=invalidate key="b\*c" $ms entries=0\noperation=commit $ms tags=2 patterns=1
operation=invalidate $ms relation="item" entries=\d\noperation=commit $ms tags=\d patterns=0
operation=invalidate key="\*" $ms entries=\d\noperation=commit $ms tags=1 patterns=0\n$/, 'invalidations');
like(logged(q{SET cache_ext.log_operations = 'invalidate'; UPDATE item SET v = 2 WHERE id = 1}),
	qr/^operation=commit $ms tags=\d patterns=1\n$/, 'a commit that a trigger made invalidate');
is(logged(q{SET cache_ext.log_operations = 'invalidate'; BEGIN; UPDATE item SET v = 3 WHERE id = 1; ROLLBACK}),
	'', 'but no rollback');

# verification
$node->safe_psql('postgres', 'CREATE TABLE loose AS SELECT 1 AS v');
my $loose = q{SELECT cached_json('loose', 'SELECT 6 / v AS a FROM loose', 60)};
is(logged("SET cache_ext.verify_fraction = 1; $loose; $loose"), '', 'a result that is right is no news');
$node->safe_psql('postgres', 'UPDATE loose SET v = 2');
is(logged("SET cache_ext.verify_fraction = 1; $loose"), qq{cached result with key "loose" differs from a fresh one\n}, 'one that is not is');
is(logged("SET cache_ext.verify_fraction = 1; $loose"), '', 'once');
$node->safe_psql('postgres', 'UPDATE loose SET v = 0');
is(logged("SET cache_ext.verify_fraction = 1; $loose"), qq{could not verify the cached result with key "loose": division by zero\n}, 'a query that fails');

# a cancel goes through, and leaves the entry
my $slow = q{SELECT cached_json('slow', 'SELECT count(*) FROM item', 600)};
$node->safe_psql('postgres', $slow);
my $holder = session($node);
hold($holder, 'start');
my $s = session($node);
$s->query_safe(q{SET cext_test.pause = 'start'});
$s->query_safe('SET cache_ext.verify_fraction = 1');
begin_query($s, "$slow, (cache_last_status()).status");
wait_paused($node, $s, 'start');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s) . ')');
like(end_query($s), qr/canceling statement due to user request/, 'a cancel while verifying');

# what is invalidated while it is verified is no divergence, although the query
# sees other rows by then
release($holder, 'start');
hold($holder, 'plan');
$s->query_safe(q{SET cext_test.pause = 'plan'});
begin_query($s, "$slow, (cache_last_status()).status");
wait_paused($node, $s, 'plan');
$node->safe_psql('postgres', q{DELETE FROM item WHERE id = 10; SELECT cache_invalidate('slow')});
release($holder, 'plan');
like(end_query($s), qr/10.*hit/, 'the call began before');
is($node->safe_psql('postgres', 'SELECT divergences FROM cache_stats'), '1', 'no other divergence');
like($node->safe_psql('postgres', "$slow, (cache_last_status()).status"), qr/9.*miss/, 'what is next does not');
$_->quit for $s, $holder;

$node->stop;
done_testing();

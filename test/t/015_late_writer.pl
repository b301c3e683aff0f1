# Another library may write in a PRE_COMMIT callback of its own that runs after
# ours: callbacks run in the reverse order of preloading.  Its rows invalidate
# like any others.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;

my $node = new_node('main', conf => "shared_preload_libraries = 'cext_test, cache_ext'\n");
setup($node);
my $writer = session($node);
my $holder = session($node);

# A transaction that does this, and something else late in its commit.
sub transaction
{
	my ($sql, $late) = @_;

	$late =~ s/'/''/g;
	return "BEGIN; SET LOCAL cext_test.pre_commit_sql = '$late'; $sql; COMMIT";
}

sub check
{
	my ($how, $value, @keys) = @_;

	is(read_now($node, 1, $_), "$value|miss", "$how: $_ is invalidated") for @keys;
	is(read_now($node, 1, $_), "$value|hit", "$how: $_ is cached again") for @keys;
	return;
}

my @keys = ('item:1', 'glob:1');
my $update = 'UPDATE item SET v = v + 1 WHERE id = 1';
read_now($node, 1, $_) for @keys, 'else:1';
$writer->query_safe(transaction('SELECT 1', $update));
check('nothing else pending', 2, @keys);
read_now($node, 1, 'else:1');
$writer->query_safe(transaction(q{SELECT cache_invalidate('else:*')}, $update));
check('another invalidation pending', 3, @keys);
is(read_now($node, 1, 'else:1'), '3|miss', 'which took effect, too');
$writer->query_safe(transaction(q{SELECT cache_invalidate('g*b:2')}, $update));
check('another pattern pending', 4, @keys);

# more than a record of a committing transaction has room for
$writer->query_safe(transaction('SELECT 1',
	q{SELECT cache_invalidate('item:' || g) FROM generate_series(1, 100) g}));
check('many', 4, 'item:1');

# not if the transaction fails after all
begin_query($writer, transaction(q{SELECT cache_invalidate('glob:1')}, q{SELECT cache_invalidate('item:1'), 1 / 0}));
like(end_query($writer), qr/division by zero/, 'a failure');
like(read_now($node, 1, $_), qr/^4\|/, "failure: $_ is right") for @keys;
is(read_now($node, 1, $_), '4|hit', "failure: $_ can be cached") for @keys;

# no window: from when the rows can be seen
$writer->query_safe(q{SET cext_test.pause = 'commit'});
hold($holder, 'commit');
begin_query($writer, transaction('SELECT 1', $update));
wait_paused($node, $writer, 'commit');
is(read_now($node, 1, $_), '5|miss', "in the window: $_ is read") for @keys, @keys;
release($holder, 'commit');
end_query($writer);
check('after it', 5, @keys);

$_->quit for $writer, $holder;
$node->stop;
done_testing();

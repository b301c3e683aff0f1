# What a fill does not see of a function: PL/pgSQL initializes an expression once
# in a transaction, so a C function in it, which reads its own settings, is told
# of in the first call alone.  Sessions that have called current_setting() would
# hide that (see cext_tracker.c), and isolationtester's have.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
setup($node);
$node->safe_psql('postgres', q{
	CREATE FUNCTION calls_c() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN cext_test_setting(); END $$;
});

# The answer and its status, with this setting.
sub asked
{
	my ($setting, $before) = @_;

	return (split /\n/, $node->safe_psql('postgres', qq{
		SET cext_test.query_jitter = $setting;
		BEGIN;
		$before
		SELECT cached_json('c', 'SELECT calls_c() AS c', 300), (cache_last_status()).status;
		COMMIT;
	}))[-1];
}

is(asked(1, 'SELECT calls_c();'), '[{"c": 1}]|miss', 'filled after a first call');
is(asked(2, ''), '[{"c": 2}]|miss', 'not for another setting');
is(asked(1, ''), '[{"c": 1}]|hit', 'for the same');
is(asked(2, 'SELECT calls_c();'), '[{"c": 2}]|hit', 'and so each');

$node->stop;
done_testing();

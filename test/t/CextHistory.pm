# The history checker: clients read, write, roll back, prepare and invalidate at
# random, and every read through the cache is compared with what the tables held
# before and after it (G1 to G5).  history.sql has the tables, functions and the
# judge; the clients are here.

package CextHistory;

use strict;
use warnings;

use CextTest;
use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(history_node run_history);

# weight => script
my %scripts = (
	'read@60' => q{
		\set id random_zipfian(1, 16, 1.1)
		\set way random(0, 5)
		SELECT read_row(:way, :id);
	},
	# as clients do, each statement a transaction of its own
	'read_single@20' => q{
		\set id random_zipfian(1, 16, 1.1)
		SELECT v AS floor FROM item WHERE id = :id \gset
		SELECT (cached_json('item:' || :id, 'SELECT v FROM item WHERE id = $1', 60, :id)->0->>'v')::bigint AS got \gset
		SELECT v AS ceiling FROM item WHERE id = :id \gset
		SELECT judge('row :id alone', :floor, :got, :ceiling);
	},
	'read_sums@20' => q{
		\set g random(0, 3)
		SELECT read_sums(:g);
	},
	'read_others@15' => q{
		\set n random(1, 4)
		SELECT read_others(:n);
	},
	'read_snapshot@8' => q{
		\set id1 random_zipfian(1, 16, 1.1)
		\set id2 random(1, 16)
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT v FROM item WHERE id = :id1;
		SELECT read_snapshot(:id1, :id2);
		SELECT read_snapshot(:id2, :id1);
		COMMIT;
	},
	'write@4' => q{
		\set id random_zipfian(1, 16, 1.1)
		UPDATE item SET v = v + 1 WHERE id = :id;
	},
	'write_and_see@3' => q{
		\set id random_zipfian(1, 16, 1.1)
		BEGIN;
		SELECT write_row(:id, 1);
		COMMIT;
	},
	'write_tagged@1' => q{
		\set n random(1, 4)
		UPDATE tagged SET v = v + 1 WHERE id = :n;
	},
	'write_manual@2' => q{
		\set n random(1, 4)
		BEGIN;
		UPDATE manual SET v = v + 1 WHERE id = :n;
		SELECT cache_invalidate(CASE :client_id % 3 WHEN 0 THEN 'manual:*' WHEN 1 THEN 'm*l:' || :n ELSE 'manual:' || :n END);
		COMMIT;
	},
	'write_part@1' => q{
		\set n random(1, 4)
		UPDATE part SET v = v + 1 WHERE id = :n;
	},
	'rollback@3' => q{
		\set id random_zipfian(1, 16, 1.1)
		BEGIN;
		SELECT write_row(:id, 1000000);
		ROLLBACK;
	},
	'savepoint@3' => q{
		\set id random_zipfian(1, 16, 1.1)
		BEGIN;
		SAVEPOINT a;
		SELECT write_row(:id, 1000000);
		ROLLBACK TO a;
		SELECT write_row(:id, 1);
		SAVEPOINT b;
		SELECT write_row(:id, 1000000);
		ROLLBACK TO b;
		RELEASE a;
		COMMIT;
	},
	'prepare@2' => q{
		\set id random_zipfian(1, 16, 1.1)
		\set way random(0, 5)
		BEGIN;
		UPDATE item SET v = v + 1 WHERE id = :id;
		PREPARE TRANSACTION 'client:client_id';
		SELECT read_row(:way, :id);
		COMMIT PREPARED 'client:client_id';
		SELECT read_row(:way, :id);
	},
	'prepare_poison@1' => q{
		\set id random_zipfian(1, 16, 1.1)
		\set way random(0, 5)
		BEGIN;
		UPDATE item SET v = v + 1000000 WHERE id = :id;
		PREPARE TRANSACTION 'client:client_id';
		SELECT read_row(:way, :id);
		ROLLBACK PREPARED 'client:client_id';
	},
	'clear@1' => q{
		SELECT cache_invalidate('group:*');
		SELECT cache_invalidate_table('part');
	},
);

# Run them for some seconds.  Returns the violations.
sub run_history
{
	my ($node, $time, $clients) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $before = -s $node->logfile;
	my ($out, $err);
	my @files;

	for my $name (sort keys %scripts)
	{
		my ($file, $weight) = split /@/, $name;

		append_to_file("$dir/$file", $scripts{$name});
		push @files, '-f', "$dir/$file\@$weight";
	}
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	ok( IPC::Run::run(
			[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', $time, @files, 'postgres' ],
			'>', \$out, '2>', \$err),
		'clients run without an error') or diag($err);
	return grep { /history violation/ } split /\n/, slurp_file($node->logfile, $before);
}

# A node with the tables and functions.
sub history_node
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', $conf . qq{
log_min_error_statement = panic
log_lock_waits = off
synchronous_commit = off
cext_test.query_jitter = 500
cext_test.commit_jitter = 5000
});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION cache_ext; CREATE EXTENSION cext_test');
	$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/history.sql"));
	return $node;
}

1;

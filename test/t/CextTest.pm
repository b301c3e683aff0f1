# What the TAP tests of cache_ext share: nodes with the library preloaded, and
# sessions that stop at the points of test/modules/cext_test.

package CextTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(new_node conf setup wait_launcher cached read_now session pid_of begin_query
  end_query wait_paused wait_gone hold release memory_used stop_in_replay stop_in_place $big $big_in_place);

# What every node adds to postgresql.conf.  test/check names the file that also
# says where the library is.
sub conf
{
	return slurp_file($ENV{CEXT_TEST_CONF} // 'test/regress.conf') . qq{
shared_preload_libraries = 'cache_ext, cext_test'
log_statement = none
restart_after_crash = on
};
}

# A node that runs.  %params go to init(), "conf" is appended.
sub new_node
{
	my ($name, %params) = @_;
	my $extra = delete $params{conf} // '';
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%params);
	$node->append_conf('postgresql.conf', conf() . $extra);
	$node->start;
	return $node;
}

# The extensions, and a table whose rows invalidate keys.
sub setup
{
	my ($node) = @_;

	$node->safe_psql(
		'postgres', q{
		CREATE EXTENSION cache_ext;
		CREATE EXTENSION cext_test;
		CREATE TABLE item (id integer PRIMARY KEY, v integer);
		INSERT INTO item SELECT g, 1 FROM generate_series(1, 10) g;
		SELECT cache_attach('item', 'item:{id}', 'g*b:{id}');
	});
	return;
}

# Wait until somebody starts background workers.
sub wait_launcher
{
	my ($node) = @_;

	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'cache_ext launcher' AND wait_event_type = 'Extension'})
	  or die 'no launcher';
	return;
}

# The statement that reads a row through the cache: its result is value|status.
sub cached
{
	my ($id, $key) = @_;

	$key //= "item:$id";
	return "SELECT cached_json('$key', 'SELECT v FROM item WHERE id = $id', 600)->0->>'v',"
	  . " (cache_last_status()).status";
}

sub read_now
{
	my ($node, $id, $key) = @_;

	return $node->safe_psql('postgres', cached($id, $key));
}

# A session that stays.
sub session
{
	my ($node) = @_;
	my $s = $node->background_psql('postgres', on_error_stop => 0);

	# its time limit is for a query, not for all that it lives
	$s->set_query_timer_restart if $s->can('set_query_timer_restart');
	$s->{cext_pid} = $s->query_safe('SELECT pg_backend_pid()');
	return $s;
}

sub pid_of
{
	my ($s) = @_;

	return $s->{cext_pid};
}

# Send a query, do not wait for it.
sub begin_query
{
	my ($s, $sql) = @_;

	my $out = $s->query_until(qr/begun\n/, "\\echo begun\n$sql;\n");

	# what it gave if it has ended already
	$s->{cext_out} = $out =~ s/^.*?begun\n//sr;
	return;
}

# Its result, or error message.
sub end_query
{
	my ($s) = @_;
	my $out = (delete $s->{cext_out} // '') . $s->query('');
	my $err = $s->{stderr};

	$s->{stderr} = '';
	chomp $out;
	return $err ne '' ? $err : $out;
}

sub wait_paused
{
	my ($node, $s, $point) = @_;

	$node->poll_query_until('postgres',
		"SELECT point = '$point' FROM cext_test_waiting() WHERE pid = $s->{cext_pid}")
	  or die "session never stopped at $point";
	return;
}

# Wait until a backend has left.
sub wait_gone
{
	my ($node, $s) = @_;

	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $s->{cext_pid}")
	  or die "backend is still there";
	return;
}

sub hold
{
	my ($s, $point) = @_;

	$s->query_safe("SELECT cext_test_hold('$point')");
	return;
}

sub release
{
	my ($s, $point) = @_;

	$s->query_safe("SELECT cext_test_release('$point')");
	return;
}

sub memory_used
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT memory_used FROM cache_stats');
}

# A result so large that replaying it takes a while.  Numbered, its rows are put
# into a tuplestore; with the smallest work_mem that is a temporary file, whose
# growth can be watched.
my $big_query = "SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 60000) g";
our $big =
  "SELECT count(*), sum(length(t)), (cache_last_status()).status"
  . " FROM ROWS FROM (cached_query('big', '$big_query', 600) AS (g integer, t text)) WITH ORDINALITY AS r(g, t, n)";

# The same, read in place, with a lock to wait for in the middle.
our $big_in_place =
  "SELECT count(*), sum(length(t)), (cache_last_status()).status FROM cached_query('big', '$big_query', 600)"
  . " AS r(g integer, t text) WHERE g <> 30000 OR pg_advisory_xact_lock_shared(30000) IS NOT NULL";

# Make a session take $big from the cache, and stop its process in the middle of
# that, with the entry pinned.
sub stop_in_replay
{
	my ($node, $s, $tablespace) = @_;
	my $glob = $node->data_dir . "/base/pgsql_tmp/pgsql_tmp$s->{cext_pid}.*";

	for my $try (1 .. 50)
	{
		begin_query($s, $big);
		for (1 .. 20000)
		{
			my ($size) = map { -s $_ } glob($glob);
			last if defined $size && $size > 1000000;
			usleep(100);
		}
		kill 'STOP', $s->{cext_pid};
		usleep(100) until stopped($s->{cext_pid});
		my ($size) = map { -s $_ } glob($glob);
		if (defined $size && $size > 0 && $size < 50000000)
		{
			note "stopped after $size bytes";
			return;
		}
		kill 'CONT', $s->{cext_pid};
		end_query($s);
	}
	die "could not stop the backend in a replay";
}

# Make a session wait in the middle of reading $big_in_place.  The holder has
# locked 30000.
sub stop_in_place
{
	my ($node, $s) = @_;

	begin_query($s, $big_in_place);
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_locks WHERE pid = $s->{cext_pid} AND locktype = 'advisory' AND NOT granted")
	  or die "session never waited";
	return;
}

# SIGSTOP takes effect when the process next runs.
sub stopped
{
	my ($pid) = @_;

	open(my $fh, '<', "/proc/$pid/stat") or return 1;
	my $stat = <$fh>;
	close $fh;
	return $stat =~ /\) T /;
}

1;

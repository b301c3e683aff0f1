# The examples run: PL/pgSQL, node-postgres, and that behind pgbouncer in
# transaction mode.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

$ENV{PATH} .= ':/usr/sbin';

my $node = new_node('main');
my $examples = "$FindBin::RealBin/../../examples";

sub fresh_schema
{
	my ($db) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', "$examples/schema.sql", '-f', "$examples/plpgsql.sql" ],
		"schema and functions in $db");
	return;
}

# PL/pgSQL
fresh_schema('plpgsql');
my $status = "(cache_last_status()).status";
is($node->safe_psql('plpgsql', "SELECT title, $status FROM course(7)"), 'Course 7|miss', 'course');
is($node->safe_psql('plpgsql', "SELECT title, $status FROM course(7)"), 'Course 7|hit', 'course, cached');
is($node->safe_psql('plpgsql', "SELECT jsonb_array_length(dashboard(3)), $status"), '5|miss', 'dashboard');
is($node->safe_psql('plpgsql', "SELECT jsonb_array_length(dashboard(3)), $status"), '5|hit', 'dashboard, cached');
$node->safe_psql('plpgsql', 'DELETE FROM enrollments WHERE student_id = 3 AND course_id = (SELECT min(course_id) FROM enrollments WHERE student_id = 3)');
is($node->safe_psql('plpgsql', "SELECT jsonb_array_length(dashboard(3)), $status"), '4|miss', 'dashboard, after a change');
$node->safe_psql('plpgsql', 'SELECT remember_visit(1)');
is($node->safe_psql('plpgsql', 'SELECT remember_visit(1)'), '2', 'a plain value');

# node-postgres
sub run_node
{
	my ($name, %env) = @_;
	local @ENV{ keys %env } = values %env;

	command_like([ 'node', "$examples/node/example.mjs" ], qr/^as expected$/, $name);
	return;
}

fresh_schema('node');
run_node('node-postgres', PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'node', PGUSER => scalar getpwuid($<));

# the same behind pgbouncer
fresh_schema('pooled');
my $dir = $node->basedir;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $ini = slurp_file("$examples/pgbouncer.ini");
my ($host, $server) = ($node->host, $node->port);
$ini =~ s/host=\. port=5432/host=$host port=$server/ or die;
$ini =~ s/^listen_port = .*/listen_port = $port/m or die;
$ini =~ s/^unix_socket_dir = .*/unix_socket_dir = $host/m or die;
$ini =~ s/^auth_file = .*/auth_file = $dir\/userlist.txt/m or die;
append_to_file("$dir/userlist.txt", '"' . getpwuid($<) . qq{" ""\n});
append_to_file("$dir/pgbouncer.ini", $ini . "logfile = $dir/pgbouncer.log\npidfile = $dir/pgbouncer.pid\n");
my $bouncer = fork();
if ($bouncer == 0)
{
	open(STDOUT, '>', "$dir/pgbouncer.out");
	open(STDERR, '>&', \*STDOUT);
	exec('pgbouncer', "$dir/pgbouncer.ini") or POSIX::_exit(127);
}
for (1 .. 1800)
{
	last if -S "$host/.s.PGSQL.$port" || waitpid($bouncer, 1) != 0;
	usleep(100_000);
}
ok(-S "$host/.s.PGSQL.$port", 'pgbouncer runs') or diag(slurp_file("$dir/pgbouncer.out"));
run_node('node-postgres behind pgbouncer', PGHOST => $host, PGPORT => $port, PGDATABASE => 'pooled', PGUSER => scalar getpwuid($<));
like(slurp_file("$dir/pgbouncer.log"), qr/pooled/, 'it went that way');

# tenants that share connections do not share entries
my $tenant = q{BEGIN; SELECT set_config('app.tenant_id', '%s', true);
	SELECT cached_json('tenant', 'SELECT current_setting(''app.tenant_id'') AS t', 60), (cache_last_status()).status; COMMIT};
my @seen;
for my $t (1, 2, 1, 2)
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-h', $host, '-p', $port, '-d', 'pooled', '-c', sprintf($tenant, $t) ],
		'>', \$out, '2>', \$err);
	push @seen, (split /\n/, $out)[-1] // $err;
}
is_deeply(\@seen, [ '[{"t": "1"}]|miss', '[{"t": "2"}]|miss', '[{"t": "1"}]|hit', '[{"t": "2"}]|hit' ], 'tenants in transaction mode');
kill 'INT', $bouncer;
waitpid($bouncer, 0);

$node->stop;
done_testing();

# What goes to the client is, message by message, what PostgreSQL would send
# without a cache: in both protocols, all formats, and in parts.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION cache_ext;
	CREATE TABLE t (id integer, name text, at timestamptz, n numeric, raw bytea);
	INSERT INTO t SELECT i, CASE WHEN i <> 3 THEN repeat('ä' || i, i * 60) END,
		timestamptz '2026-01-01 00:00+00' + i * interval '1 day', i / 8.0, '\x00ff' FROM generate_series(1, 5) i;
});

# A session that speaks the protocol itself.
my $socket;

sub put
{
	my ($type, $data) = @_;

	print $socket $type . pack('N', length($data) + 4) . $data;
	return;
}

sub start
{
	my $startup = pack('N', 196608) . "user\0" . ($ENV{PGUSER} // getpwuid($<)) . "\0database\0postgres\0\0";

	$socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port)
	  or die "could not connect: $!";
	print $socket pack('N', length($startup) + 4) . $startup;
	answer();
	return;
}

# All messages up to ReadyForQuery: type and contents.
sub answer
{
	my @messages;

	$socket->flush;
	for (;;)
	{
		my ($head, $data) = ('', '');

		read($socket, $head, 5) == 5 or die 'the server has gone';
		my ($type, $len) = unpack('aN', $head);
		read($socket, $data, $len - 4) == $len - 4 or die 'the server has gone' if $len > 4;
		$data =~ s/^.*\0M([^\0]*)\0.*$/$1/s if $type eq 'E';
		# a parameter's report, a notice
		push @messages, "$type:$data" unless $type =~ /^[SNK]$/;
		return @messages if $type eq 'Z';
	}
}

sub simple
{
	put('Q', "$_[0]\0");
	return answer();
}

# Parse, bind with these formats, and execute in parts of so many rows.
sub extended
{
	my ($sql, $formats, @parts) = @_;

	put('P', "\0$sql\0" . pack('n', 0));
	put('B', "\0\0" . pack('nnn*', 0, 0, scalar(@$formats), @$formats));
	put('D', "P\0");
	put('E', "\0" . pack('N', $_)) foreach (@parts ? @parts : (0));
	put('S', '');
	return answer();
}

start();

my $rows = q{SELECT * FROM cached_rows(NULL::t, 'rows', 'SELECT * FROM t ORDER BY id', 600)};
my $query = q{SELECT * FROM cached_query('query', 'SELECT id, name, at, n FROM t ORDER BY id', 600)
	AS q(id integer, name text, at timestamptz, n numeric)};
my $json = q{SELECT cached_json('json', 'SELECT * FROM t ORDER BY id', 600)};
my $many = q{SELECT * FROM cached_query('many', $$SELECT i, repeat(i::text, CASE i WHEN 99 THEN 40000 WHEN 300 THEN 20000 ELSE 200 END)
	FROM generate_series(1, 900) i$$, 600) AS m(i integer, v text)};
my $none = q{SELECT * FROM cached_rows(NULL::t, 'none', 'SELECT * FROM t WHERE false', 600)};

my %ways = (
	'simple' => sub { simple($_[0]) },
	'simple, two statements' => sub { simple("$_[0]; $_[0]") },
	'text' => sub { extended($_[0], []) },
	'text by name' => sub { extended($_[0], [0]) },
	'binary' => sub { extended($_[0], [1]) },
	'two rows, then the rest' => sub { extended($_[0], [], 2, 0) },
	'row by row' => sub { extended($_[0], [], 1, 1, 1, 1, 1, 1, 0) },
	'binary, two rows, then the rest' => sub { extended($_[0], [1], 2, 0) },
	'prepared in SQL' => sub { simple("PREPARE p AS $_[0]"), extended('EXECUTE p', []), simple('DEALLOCATE p') },
	'cursor' => sub { simple("BEGIN; DECLARE c CURSOR FOR $_[0]; FETCH 2 FROM c; FETCH ALL FROM c; COMMIT") },
	'binary cursor' => sub { simple("BEGIN; DECLARE c BINARY CURSOR FOR $_[0]; FETCH ALL FROM c; COMMIT") },
	'copy' => sub { simple("COPY ($_[0]) TO STDOUT") },
	'error in the same transaction' => sub { simple("BEGIN; $_[0]; SELECT 1 / 0"), simple('ROLLBACK') },
	'some text, some binary' => sub { extended($_[0], [ 0, 1, 0, 1, 0 ]) });

my %statements = (
	'cached_query' => $query,
	'cached_rows' => $rows,
	'cached_json' => $json,
	'rows of more than the kernel takes at once' => $many,
	'such a value' => q{SELECT cached_json('long', 'SELECT i, md5(i::text) FROM generate_series(1, 9000) i', 600)},
	'no rows' => $none,
	'some columns' => "SELECT id, n FROM ($query) s WHERE id > 1",
	'a function of it' => "SELECT jsonb_array_length(($json))");

foreach my $encoding ('UTF8', 'LATIN1')
{
	simple("SET client_encoding = '$encoding'");
	foreach my $name (sort keys %statements)
	{
		foreach my $way (sort keys %ways)
		{
			my ($sql, $same) = ($statements{$name}, 0);

			simple('SET cache_ext.enabled = off');
			my $expected = join("\n", $ways{$way}->($sql));
			simple('SET cache_ext.enabled = on');
			foreach my $pass (1 .. 4)
			{
				$same++ if join("\n", $ways{$way}->($sql)) eq $expected;
			}
			is($same, 4, "$name, $way, $encoding");
		}
	}
}

# the call's own arguments change the encoding, when the rows' way is settled
my $changing = q{SELECT * FROM cached_query('changing', 'SELECT chr(233) || $1 AS a', 600,
	left(set_config('client_encoding', 'LATIN1', false), 0)) AS q(a text)};
foreach my $sql ($changing, $changing =~ s/SELECT \* FROM cached_query(.*) AS q\(a text\)/SELECT cached_json$1/sr)
{
	foreach my $pass (1 .. 4)
	{
		simple("SET client_encoding = 'UTF8'");
		my ($row) = grep { /^D/ } simple($sql);
		like($row, qr/(?<!\xc3)\xe9/, "converted, pass $pass");
	}
}

# called by its number, so without an expression that tells its arguments' types
my ($number) = map { /^D:.{6}(.*)/s } simple(q{SELECT 'cached_json(text, text, text, text[])'::regprocedure::oid});
foreach my $pass (1, 2)
{
	put('F', pack('N n n n', $number, 1, 0, 4) .
		  join('', map { pack('N/a', $_) } 'fast', 'SELECT $1::integer AS a, $2 AS b', 'medium', '{7,b}') . pack('n', 0));
	is(join(' ', grep { !/^Z/ } answer()), 'V:' . pack('N/a', '[{"a": 7, "b": "b"}]'), "fast path, pass $pass");
}

# and the messages were indeed kept and sent
simple("SET client_encoding = 'UTF8'");
simple('SELECT cache_clear()');
my $empty = memory_used($node);
foreach my $sql ($query, $rows, $json, $many)
{
	my $before;

	simple('SELECT cache_clear()');
	simple($sql) foreach (1, 2);
	$before = memory_used($node);
	simple($sql);
	cmp_ok(memory_used($node), '>', $before, 'kept when sent the second time');
	$before = memory_used($node);
	simple($sql);
	is(memory_used($node), $before, 'once');
}

# Has the server sent what it can to a client that does not read?
sub wait_for_client
{
	my $sql = shift;

	put('Q', "$sql\0");
	$socket->flush;
	ok( $node->poll_query_until(
			'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM cached_query%' AND wait_event = 'ClientWrite'}),
		'the server waits for the client');
	return;
}

# canceled between two messages, whenever that is
my $rest = "$many; SELECT 1";
wait_for_client($rest);
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'});
my @got = answer();
is($got[-2], 'E:canceling statement due to user request', 'canceled while rows are sent');
is(scalar(grep { /^[^TDEZ]/ } @got), 0, 'all messages before are whole');
is((simple('SELECT 2'))[1], "D:\0\1\0\0\0\0012", 'the session goes on');

# terminated, or without a client: it ends
wait_for_client($rest);
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'}),
	'terminated while it waits for the client');
close $socket;
start();
my $log = -s $node->logfile;
wait_for_client($rest);
close $socket;
ok( $node->poll_query_until(
		'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'}),
	'a client that has gone is not waited for');
is(() = slurp_file($node->logfile, $log) =~ /could not send data to client/g, 1, 'said once');
$node->safe_psql('postgres', 'SELECT cache_clear()');
is(memory_used($node), $empty, 'nobody keeps an entry pinned');

$node->stop;
done_testing();

# The code of docs/relay.md does what it says, in Node and in Python.  Node has the
# package "redis" from Debian, or from the directory that CEXT_NODE_MODULES names.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $docs = slurp_file("$FindBin::RealBin/../../docs/relay.md");
my %code = (
	js => $docs =~ /^```js\n(.*?)^```/ms,
	python => $docs =~ /^```python\n(.*?)^```/ms);

my %driver = (
	js => q{
import { createClient } from 'redis';
import { createInterface } from 'node:readline';
import { cached, remember, listen, glob } from './relay.mjs';
const options = { socket: { path: process.argv[2] } };
const redis = createClient(options);
await redis.connect();
const local = new Map();
let finish;
const commands = {
	listen: async () => { await listen(options, 'postgres', local); return 'ok'; },
	put: async (...keys) => { keys.forEach((k) => local.set(k, 1)); return 'ok'; },
	keys: async () => [...local.keys()].sort().join(' '),
	cached: async (key, value) => cached(redis, key, 60, async () => value),
	glob: async (pattern, key) => String(glob(pattern).test(key)),
	begin: async (what, key, value) => new Promise((started) => {
		const load = () => new Promise((done) => { finish = () => done(value); started('loading'); });
		commands.result = what === 'cached' ? cached(redis, key, 60, load) : remember(local, key, load);
	}),
	finish: async () => { finish(); return commands.result; },
};
for await (const line of createInterface({ input: process.stdin })) {
	const [name, ...args] = line.split(' ');
	console.log(await commands[name](...args));
}
process.exit(0);
},
	python => q{
import sys, threading, time, redis
import relay
r = redis.Redis(unix_socket_path=sys.argv[1])
local = {}
started, finished, result = threading.Semaphore(0), threading.Semaphore(0), []

def command(name, *args):
	if name == "listen":
		# it begins with forgetting what was there; what is put later must stay
		local["before"] = (None, 1)
		threading.Thread(target=relay.listen, args=(r, "postgres", local), daemon=True).start()
		while local:
			time.sleep(0.01)
		return "ok"
	if name == "put":
		with relay.lock:
			local.update({k: (None, 1) for k in args})
		return "ok"
	if name == "keys":
		with relay.lock:
			return " ".join(sorted(local))
	if name == "cached":
		return relay.cached(r, args[0], 60, lambda: args[1])
	if name == "glob":
		return str(bool(relay.glob(args[0]).fullmatch(args[1]))).lower()
	if name == "begin":
		def load():
			started.release()
			finished.acquire()
			return args[2]
		f = (lambda: relay.cached(r, args[1], 60, load)) if args[0] == "cached" else (lambda: relay.remember(local, args[1], load))
		thread = threading.Thread(target=lambda: result.append(f()))
		thread.start()
		result.append(thread)
		started.acquire()
		return "loading"
	if name == "finish":
		finished.release()
		result[-1].join() if len(result) else None
		return result.pop()

for line in sys.stdin:
	print(command(*line.rstrip("\n").split(" ")), flush=True)
});

my $node_modules = $ENV{CEXT_NODE_MODULES} // '/usr/share/nodejs';
my %available = (
	js => -d "$node_modules/redis",
	python => system('/usr/bin/python3', '-c', 'import redis') == 0);

plan skip_all => redis_missing() if defined redis_missing();

my $redis = CextRedis->new('docs');
my $node = new_node('main', conf => qq{
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.storage = shared_memory
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.redis_relay = on
});
setup($node);

# the flush that the relay begins with would drop what an application has put
$node->poll_query_until('postgres', q{SELECT state = 'on' AND flushes > 0 AND queue_length = 0 FROM cache_relay})
  or die 'the relay never began';

for my $language (qw(js python))
{
  SKIP:
	{
		skip "no package \"redis\" for $language here", 1 unless $available{$language};
		subtest $language => sub { try_out($language) };
	}
}

sub try_out
{
	my ($language) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my ($in, $out, $err) = ('', '', '');
	my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	my $app;

	if ($language eq 'js')
	{
		symlink $node_modules, "$dir/node_modules";
		append_to_file("$dir/relay.mjs", $code{js});
		append_to_file("$dir/driver.mjs", $driver{js});
		$app = IPC::Run::start([ 'node', "$dir/driver.mjs", $redis->socket ],
			'<', \$in, '>', \$out, '2>', \$err, $timeout);
	}
	else
	{
		append_to_file("$dir/relay.py", $code{python});
		append_to_file("$dir/driver.py", $driver{python});
		$app = IPC::Run::start([ '/usr/bin/python3', "$dir/driver.py", $redis->socket ],
			'<', \$in, '>', \$out, '2>', \$err, $timeout);
	}

	my $do = sub {
		my ($command) = @_;

		$timeout->start;		# for this command, not for all of them
		$in .= "$command\n";
		$app->pump until $out =~ s/^(.*)\n// or !$app->pumpable;
		die "the application ended: $err" unless $app->pumpable;
		return $1;
	};
	my $keys = sub {
		my ($expected) = @_;
		my $is = '';

		for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			$is = $do->('keys');
			last if $is eq $expected;
			usleep(100_000);
		}
		return $is;
	};
	my $invalidate = sub {
		$node->safe_psql('postgres', "SELECT cache_invalidate('$_')") for @_;
		$node->poll_query_until('postgres', 'SELECT queue_length = 0 FROM cache_relay') or die 'not relayed';
	};

	# a copy in the process
	is($do->('listen'), 'ok', 'listens');
	$do->('put a b p:1 p:22 q');
	$invalidate->('a', 'p:?');
	is($keys->('b p:22 q'), 'b p:22 q', 'a key and a pattern are dropped');
	is($do->('begin local x old'), 'loading', 'a value is read');
	$invalidate->('x');
	is($keys->('b p:22 q'), 'b p:22 q', '... and changes meanwhile');
	is($do->('finish'), 'old', '... which who asked does not know');
	is($keys->('b p:22 q'), 'b p:22 q', '... but the next will');
	$node->safe_psql('postgres', 'SELECT cache_clear()');
	is($keys->(''), '', 'all is dropped');
	$do->('put c');
	$redis->cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
	is($keys->(''), '', 'all is dropped when the connection was lost');
	usleep(100_000) until $redis->cli('PUBSUB', 'NUMSUB', 'cache_ext:invalidate:postgres') =~ /\b1$/;

	# a copy in Redis
	$redis->cli('DEL', 'k');
	is($do->('cached k one'), 'one', 'a copy is made');
	is($do->('cached k two'), 'one', '... and used');
	$invalidate->('k');
	is($do->('cached k two'), 'two', '... until it is dropped');
	$invalidate->('k');
	is($do->('begin cached k old'), 'loading', 'a row is read');
	like($redis->cli('GET', 'k'), qr/^lease:/, '... under a lease');
	$invalidate->('k');
	is($do->('finish'), 'old', '... and changes meanwhile');
	is($redis->cli('EXISTS', 'k'), 0, '... so no copy is stored');
	is($do->('cached k new'), 'new', '... and the next reads anew');

	# patterns mean what they mean to Redis
	for my $case ([ 'a*c', 'abc', 'ab' ], [ 'a\*c', 'a*c', 'abc' ], [ '[a-c]x', 'bx', 'dx' ],
		[ '[^a-c]x', 'dx', 'bx' ], [ '[\]^]x', ']x', 'ax' ], [ 'a.b', 'a.b', 'axb' ],
		[ '*', 'any', undef ], [ '?', "\xc3\xa9", 'ab' ], [ '[]x', undef, 'x' ], [ '[a&&b]', '&', 'c' ])
	{
		my ($pattern, $yes, $no) = @$case;

		is($do->("glob $pattern $yes"), 'true', "$pattern matches") if defined $yes;
		is($do->("glob $pattern $no"), 'false', "$pattern does not match all") if defined $no;
	}
	$in = '';
	$app->finish;
	return;
}

$node->stop;
done_testing();

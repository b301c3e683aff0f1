-- test/t/history.sql: the tables and functions of CextHistory.pm
--
-- Each row of item has a version v that only grows.  A read through the cache
-- is right if it is not older than a plain SELECT just before it (floor), nor
-- newer than one just after it (ceiling); values above a million were never
-- committed.  A violation is a line "history violation" in the server's log;
-- calls of more than 20 ms are there as well.

CREATE TABLE item (id integer PRIMARY KEY, grp integer, v bigint NOT NULL DEFAULT 1);
INSERT INTO item SELECT g, g % 4 FROM generate_series(1, 16) g;
SELECT cache_attach('item', 'item:{id}', 'group:{grp}:*', 'a*:{id}:end', 'total');

-- by relation alone
CREATE TABLE tagged (id integer PRIMARY KEY, v bigint NOT NULL DEFAULT 1);
INSERT INTO tagged SELECT generate_series(1, 4);
SELECT cache_attach('tagged');

-- by nothing: its writers invalidate explicitly
CREATE TABLE manual (id integer PRIMARY KEY, v bigint NOT NULL DEFAULT 1);
INSERT INTO manual SELECT generate_series(1, 4);

-- a partitioned one, by row triggers
CREATE TABLE part (id integer PRIMARY KEY, v bigint NOT NULL DEFAULT 1) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (3);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (3) TO (5);
INSERT INTO part SELECT generate_series(1, 4);
SELECT cache_attach('part', 'part:{id}');

CREATE FUNCTION item_v(integer) RETURNS bigint STABLE LANGUAGE plpgsql AS
$$BEGIN
	RETURN (SELECT v FROM item WHERE id = $1);
END$$;

CREATE FUNCTION judge(what text, floor bigint, got bigint, ceiling bigint) RETURNS void
LANGUAGE plpgsql AS
$$BEGIN
	IF got IS NULL OR got < floor OR got > ceiling THEN
		RAISE LOG 'history violation: % gave %, not in % to %', what, got, floor, ceiling;
	END IF;
END$$;

-- One of the ways to read row id through the cache.  In one transaction each
-- statement of these functions has a snapshot of its own.
CREATE FUNCTION cached_v(way integer, id integer) RETURNS bigint
LANGUAGE plpgsql AS
$$BEGIN
	CASE way
	WHEN 0 THEN
		RETURN cached_json('item:' || id, 'SELECT v FROM item WHERE id = $1', 60, id)->0->>'v';
	WHEN 1 THEN
		RETURN (SELECT v FROM cached_query('item:' || id,
			format('SELECT v FROM item WHERE id = %s', id), 60) AS t(v bigint));
	WHEN 2 THEN
		RETURN (SELECT v FROM cached_rows(NULL::item, 'group:' || id % 4 || ':row:' || id,
			'SELECT * FROM item WHERE id = $1', 60, id));
	WHEN 3 THEN
		RETURN cached_json('any:' || id || ':end', 'SELECT v FROM item WHERE id = $1', 60, id)->0->>'v';
	WHEN 4 THEN
		RETURN cached_json('item:' || id, 'SELECT item_v($1) AS v', 60, id)->0->>'v';
	WHEN 5 THEN
		-- a nested call: the outer entry stands on the inner one
		RETURN cached_json('outer', 'SELECT cached_json(''item:'' || $1, ''SELECT v FROM item WHERE id = $1'', 60, $1)->0->''v'' AS v',
			60, id)->0->>'v';
	END CASE;
END$$;

CREATE FUNCTION read_row(way integer, id integer) RETURNS void
LANGUAGE plpgsql AS
$$DECLARE
	floor bigint;
	got bigint;
	ceiling bigint;
	started timestamptz;
	took double precision;
BEGIN
	SELECT v INTO floor FROM item WHERE item.id = read_row.id;
	started := clock_timestamp();
	got := cached_v(way, id);
	took := extract(epoch FROM clock_timestamp() - started) * 1000;
	IF took > 20 THEN
		RAISE LOG 'slow call: % ms', round(took);
	END IF;
	SELECT v INTO ceiling FROM item WHERE item.id = read_row.id;
	PERFORM judge('row ' || id || ' by way ' || way, floor, got, ceiling);
END$$;

CREATE FUNCTION read_sums(g integer) RETURNS void
LANGUAGE plpgsql AS
$$DECLARE
	floor bigint;
	got bigint;
	ceiling bigint;
BEGIN
	SELECT sum(v) INTO floor FROM item WHERE grp = g;
	got := cached_json('group:' || g || ':sum', 'SELECT sum(v) FROM item WHERE grp = $1', 60, g)->0->>'sum';
	SELECT sum(v) INTO ceiling FROM item WHERE grp = g;
	PERFORM judge('sum of group ' || g, floor, got, ceiling);

	SELECT sum(v) INTO floor FROM item;
	SELECT sum INTO got FROM cached_query('total', 'SELECT sum(v)::bigint FROM item', 60) AS t(sum bigint);
	SELECT sum(v) INTO ceiling FROM item;
	PERFORM judge('total', floor, got, ceiling);
END$$;

CREATE FUNCTION read_others(n integer) RETURNS void
LANGUAGE plpgsql AS
$$DECLARE
	floor bigint;
	got bigint;
	ceiling bigint;
BEGIN
	SELECT sum(v) INTO floor FROM tagged;
	got := cached_json('sum of tagged', 'SELECT sum(v) FROM tagged', 60)->0->>'sum';
	SELECT sum(v) INTO ceiling FROM tagged;
	PERFORM judge('tagged', floor, got, ceiling);

	SELECT v INTO floor FROM manual WHERE id = n;
	got := cached_json('manual:' || n, 'SELECT v FROM manual WHERE id = $1', 60, n)->0->>'v';
	SELECT v INTO ceiling FROM manual WHERE id = n;
	PERFORM judge('manual ' || n, floor, got, ceiling);

	SELECT v INTO floor FROM part WHERE id = n;
	got := cached_json('part:' || n, 'SELECT v FROM part WHERE id = $1', 60, n)->0->>'v';
	SELECT v INTO ceiling FROM part WHERE id = n;
	PERFORM judge('part ' || n, floor, got, ceiling);
END$$;

-- In REPEATABLE READ: what the snapshot gives, no more and no less.
CREATE FUNCTION read_snapshot(id1 integer, id2 integer) RETURNS void
LANGUAGE plpgsql AS
$$DECLARE
	want bigint;
BEGIN
	FOR way IN 0 .. 5 LOOP
		SELECT v INTO want FROM item WHERE id = id1;
		PERFORM judge('snapshot of row ' || id1 || ' by way ' || way, want, cached_v(way, id1), want);
		SELECT v INTO want FROM item WHERE id = id2;
		PERFORM judge('snapshot of row ' || id2 || ' by way ' || way, want, cached_v(way, id2), want);
	END LOOP;
	SELECT sum(v) INTO want FROM item;
	PERFORM judge('snapshot of total', want,
		(SELECT sum FROM cached_query('total', 'SELECT sum(v)::bigint FROM item', 60) AS t(sum bigint)), want);
END$$;

-- Write, and see it through the cache by all ways: nobody else can write the
-- row before this transaction ends.  n is what to add.
CREATE FUNCTION write_row(id integer, n bigint) RETURNS void
LANGUAGE plpgsql AS
$$DECLARE
	want bigint;
BEGIN
	UPDATE item SET v = v + n WHERE item.id = write_row.id RETURNING v INTO want;
	FOR way IN 0 .. 5 LOOP
		PERFORM judge('own row ' || id || ' by way ' || way, want, cached_v(way, id), want);
	END LOOP;
END$$;

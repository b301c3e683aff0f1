--
-- Operators that somebody has put into the extension's schema are not used by
-- its views and constraints
--

CREATE DATABASE regress_hostile TEMPLATE template0;
\c regress_hostile
CREATE SCHEMA trap;
SET search_path = pg_catalog;

-- every operator that pg_catalog has for other pairs of these types only
DO $$
DECLARE
	types regtype[] := '{int2,int4,int8,float8,numeric,oid,regclass,regrole,interval,timestamptz,name,text,"\"char\"",bool}';
	l regtype;
	r regtype;
	o name;
BEGIN
	FOREACH l IN ARRAY types LOOP
		FOREACH r IN ARRAY types LOOP
			EXECUTE format('CREATE FUNCTION trap.says_yes(%s, %s) RETURNS bool LANGUAGE sql AS $f$SELECT true$f$', l, r);
			EXECUTE format('CREATE FUNCTION trap.says_one(%s, %s) RETURNS float8 LANGUAGE sql AS $f$SELECT 1::float8$f$', l, r);
			FOREACH o IN ARRAY '{=,<>,<,>,<=,>=,+,-,*,/,&,||}'::name[] LOOP
				IF NOT EXISTS (SELECT FROM pg_operator WHERE oprname = o AND oprleft = l AND oprright = r) THEN
					EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.%s)', o, l, r,
								   CASE WHEN o IN ('=', '<>', '<', '>', '<=', '>=') THEN 'says_yes' ELSE 'says_one' END);
				END IF;
			END LOOP;
		END LOOP;
	END LOOP;
END
$$;
SELECT count(*) > 1000 AS traps FROM pg_operator WHERE oprnamespace = 'trap'::regnamespace;

CREATE EXTENSION cache_ext SCHEMA trap;

-- what the extension's objects use besides pg_catalog and themselves
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS uses,
	   pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS trap
FROM pg_depend AS d
WHERE d.classid NOT IN ('pg_operator'::regclass, 'pg_proc'::regclass)
	  AND (d.refclassid = 'pg_operator'::regclass
		   OR d.refclassid = 'pg_proc'::regclass AND d.refobjid IN
			  (SELECT oid FROM pg_proc WHERE proname IN ('says_yes', 'says_one')))
ORDER BY 1, 2;

-- a view with such an operator would be found
CREATE VIEW public.caught AS SELECT 1::int2 OPERATOR(trap.&) 1::int4;
SELECT count(*) FROM pg_depend WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_operator'::regclass;

SELECT status IS NOT NULL AS health FROM trap.cache_health;
SELECT trap.cache_report() LIKE '<!DOCTYPE html>%' AS report;
INSERT INTO trap.cache_policy (name, ttl, refresh_ahead) VALUES ('a', '1 s', 101);

\c postgres
DROP DATABASE regress_hostile;

-- Prints docs/reference.md from the catalogs and pg_settings, so that it tells of
-- what there is.  test/t/012_readme.pl compares.  To make it anew, in a database
-- with the extension, on a server with the library preloaded:
--
--	psql -XAtq -f test/reference.sql > docs/reference.md

SET search_path = pg_catalog, public;

SELECT '# Reference

Made by `test/reference.sql` from what the extension says of itself; `README.md` explains and has examples.

## Functions

Roles: those of `PUBLIC` unless said otherwise. All run with the rights of their caller.
';

SELECT format('### `%s`', p.proname) || E'\n\n' ||
	string_agg(format('- `%s(%s)` → `%s`%s', p.proname,
		regexp_replace(pg_get_function_arguments(p.oid), '(, )?OUT [^,]+(?=,|$)', '', 'g'),
		pg_get_function_result(p.oid),
		CASE WHEN p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)
			THEN '' ELSE '; for ' || coalesce((SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname)
				FROM aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
				WHERE a.grantee <> p.proowner), 'those who are granted it') END),
		E'\n' ORDER BY pg_get_function_identity_arguments(p.oid)) ||
	coalesce(E'\n\n' || min(obj_description(p.oid, 'pg_proc')) || '.', '') ||
	coalesce(E'\n\nColumns: ' || min((SELECT string_agg(format('`%s` %s', name, format_type(type, NULL)), ', ' ORDER BY n)
		FROM unnest(p.proargnames, p.proargmodes, p.proallargtypes) WITH ORDINALITY AS a(name, mode, type, n)
		WHERE mode IN ('o', 't'))) || '.', '') || E'\n'
FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext')
	AND NOT EXISTS (SELECT FROM pg_class v WHERE v.relname = p.proname AND v.relnamespace = p.pronamespace)
	-- what only the extension's own triggers, views and policies call
	AND p.proname NOT IN ('cache_policy_changed', 'cache_policies_list', 'cache_warm_job_changed', 'cache_warm_job_permitted')
GROUP BY p.proname
ORDER BY p.proname COLLATE "C";

SELECT '| errors | SQLSTATE |
|---|---|
| key, query or value is null | 22004 |
| key of no or more than 1024 bytes; time to live that is zero, negative, infinite or not understood; template or pattern that makes no sense | 22023 |
| not one statement, not a read, or one that locks rows | 0A000 |
| column list that does not fit the result | 42804 |
| unknown column in a template | 42703 |
| a pattern for all keys, or another''s table or job, without the right | 42501 |
| `PREPARE TRANSACTION` after `cache_set` or `cache_delete` | 0A000 |
| library and SQL objects of different versions | 55000 |

An error of the query itself comes through as it is, with the key in its context.

## Tables and views
';

SELECT format('### `%s`', c.relname) || E'\n\n' ||
	coalesce(obj_description(c.oid, 'pg_class') || '.' || E'\n\n', '') ||
	E'| column | type | |\n|---|---|---|\n' ||
	(SELECT string_agg(format('| `%s` | `%s` | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
			coalesce(replace(col_description(c.oid, a.attnum), '|', '\|'), '')), E'\n' ORDER BY a.attnum)
	 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) || E'\n'
FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext')
	AND c.relkind IN ('r', 'v')
ORDER BY c.relname COLLATE "C";

SELECT '## Settings

"Set by": `user` in a session, `superuser` in a session (or with `GRANT SET ON PARAMETER`), `sighup` in postgresql.conf with a reload,
`postmaster` with a restart.

| setting | default | type | unit | set by | |
|---|---|---|---|---|---|';
SELECT format('| `%s` | %s | %s | %s | %s | %s |', name,
	-- what compression there is depends on the build
	CASE WHEN boot_val = '' THEN '' WHEN name = 'cache_ext.compression' THEN '`lz4`'
		ELSE '`' || boot_val || '`' END,
	CASE WHEN name = 'cache_ext.compression' THEN 'off, pglz; lz4 and zstd where built in' ELSE
	CASE vartype WHEN 'enum' THEN array_to_string(enumvals, ', ') ELSE vartype END ||
	CASE WHEN vartype IN ('integer', 'real') THEN format(', %s to %s', min_val, max_val) ELSE '' END END,
	coalesce(unit, ''), context,
	short_desc || coalesce(' ' || extra_desc, ''))
FROM pg_settings WHERE name LIKE 'cache\_ext.%' ORDER BY name COLLATE "C";

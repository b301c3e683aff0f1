/*-------------------------------------------------------------------------
 *
 * cext_report.c
 *		cache_report(): a page for a browser.
 *
 * One HTML document that needs nothing else: no script, no font, no image from
 * anywhere, and a policy in its head that forbids them.  The charts are SVG in
 * the text.  Colours follow the reader's choice of light or dark.
 *
 * It only shows what the views show, read by SPI with the caller's privileges
 * and a safe search_path.  Keys, names and all other values are whatever users
 * put there: whatever is not a literal here goes through escape(), or is a
 * number printed by us.
 *
 * A chart is a line or a stack of bars for each hour, drawn into a fixed box.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(cache_report);

/* A chart's box, in pixels. */
#define CHART_WIDTH		560
#define CHART_HEIGHT	190
#define PLOT_LEFT		54
#define PLOT_TOP		12
#define PLOT_WIDTH		(CHART_WIDTH - PLOT_LEFT - 8)
#define PLOT_HEIGHT		(CHART_HEIGHT - PLOT_TOP - 24)

#define MAX_SERIES		3

typedef struct Series
{
	const char *label;
	const char *class;			/* its colour, in the style sheet */
	const char *column;
} Series;

typedef struct Chart
{
	const char *title;
	const char *unit;
	bool		bars;			/* stacked; otherwise lines */
	double		top;			/* of the scale; 0: what the values need */
	Series		series[MAX_SERIES];
} Chart;

static const Chart charts[] = {
	{"Calls", "an hour", true, 0, {
	{"hits", "a", "hits"}, {"misses", "b", "misses"}, {"bypasses", "c", "bypasses"}}},
	{"Hit ratio", "%", false, 100, {
	{"hits among lookups", "a", "hit_percent"}}},
	{"Time of a hit", "ms", false, 0, {
	{"median", "a", "hit_time_p50_ms"}, {"95 %", "b", "hit_time_p95_ms"}, {"99 %", "c", "hit_time_p99_ms"}}},
	{"Time of a query", "ms", false, 0, {
	{"median", "a", "fill_time_p50_ms"}, {"95 %", "b", "fill_time_p95_ms"}, {"99 %", "c", "fill_time_p99_ms"}}},
	{"Entries that went", "an hour", true, 0, {
	{"expired", "a", "expirations"}, {"evicted", "b", "evictions"}}},
	{"Invalidations", "an hour", true, 0, {
	{"keys, prefixes, tables", "a", "invalidations"}}},
};

/* A table: its query's columns under these headings. */
typedef struct Table
{
	const char *title;
	const char *headings;		/* separated by |; numbers begin with # */
	const char *query;			/* @ is the schema */
	const char *empty;			/* what to say if there are no rows */
} Table;

static const Table tables[] = {
	{"Recommendations",
		"Severity|Topic|Namespace|Figure|What to do",
		"SELECT severity, topic, namespace, figure, advice FROM @.cache_recommendations",
	"Nothing needs to be changed."},
	{"Advice by namespace",
		"Namespace|#Calls|#Query ms|#Hit ms|#Miss ms|#Hit ratio|#Break-even|#Refills same|#Changed|#Suggested TTL|#Would save",
		"SELECT namespace, calls, round(query_ms::numeric, 3), round(hit_ms::numeric, 4),"
		" round(miss_ms::numeric, 3), round(hit_ratio::numeric, 3), round(break_even_hit_ratio::numeric, 3),"
		" refills_identical, refills_changed, suggested_ttl, date_trunc('milliseconds', suggested_ttl_saves)"
		" FROM @.cache_advice ORDER BY calls DESC, namespace LIMIT 20",
	"No queries were run through the cache."},
	{"Top keys",
		"Key|Role|Kind|#Hits|#Query ms|#Saved|#Rows|#Bytes|#Age|#Expires in",
		"SELECT key, role, kind, hits, round(fill_ms::numeric, 3), justify_interval(make_interval(secs => round((hits * fill_ms / 1000)::numeric, 3)::double precision)), rows, size,"
		" date_trunc('second', now() - created), date_trunc('second', expires - now())"
		" FROM @.cache_entries WHERE alive ORDER BY hits DESC, hits * fill_ms DESC, key LIMIT 20",
	"There are no entries in this database."},
	{"Calls past the cache",
		"Reason|#Calls|Description",
		"SELECT reason, count, description FROM @.cache_bypass_reasons ORDER BY count DESC LIMIT 10",
	"All calls could use the cache."},
};

static const char style[] =
"<style>\n"
":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--fg:#1b1f24;--dim:#5b6470;--line:#d9dde3;"
"--a:#2563b8;--b:#d9730d;--c:#7a8594;--good:#1a7f4b;--warn:#a15c00;--bad:#b3261e}\n"
"@media (prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2127;--fg:#e6e9ed;--dim:#9aa4b1;"
"--line:#343b45;--a:#6ea8fe;--b:#f2a154;--c:#8b95a3;--good:#5fd39a;--warn:#f0b35e;--bad:#ff8a80}}\n"
"*{box-sizing:border-box}\n"
"body{margin:0;padding:24px;background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,sans-serif}\n"
"main{max-width:1232px;margin:auto}\n"
"h1{font-size:22px;margin:0}h2{font-size:16px;margin:28px 0 10px}h3{font-size:13px;margin:0 0 4px}\n"
"header{display:flex;flex-wrap:wrap;align-items:baseline;gap:6px 16px;margin-bottom:16px}\n"
".dim{color:var(--dim)}.badge{font-weight:600;border:1px solid;border-radius:999px;padding:1px 12px}\n"
".excellent,.good{color:var(--good)}.fair,.warning{color:var(--warn)}.poor,.critical{color:var(--bad)}\n"
".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}\n"
".tile,.chart,.scroll{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px}\n"
".tile b{display:block;font-size:20px;white-space:nowrap;font-weight:600}\n"
".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:12px}\n"
".chart svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}\n"
".grid{stroke:var(--line)}.fa{fill:var(--a)}.fb{fill:var(--b)}.fc{fill:var(--c)}\n"
".sa,.sb,.sc{fill:none;stroke-width:2}.sa{stroke:var(--a)}.sb{stroke:var(--b)}.sc{stroke:var(--c)}\n"
".legend{font-size:12px;color:var(--dim)}.legend i{display:inline-block;width:10px;height:10px;"
"border-radius:2px;margin:0 5px 0 12px}.la{background:var(--a)}.lb{background:var(--b)}.lc{background:var(--c)}\n"
".scroll{overflow-x:auto;padding:4px 12px}table{border-collapse:collapse;width:100%;font-size:13px}\n"
"th{text-align:left;color:var(--dim);font-weight:600}th,td{padding:6px 10px 6px 0;"
"border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}\n"
"tr:last-child td{border-bottom:0}.n{text-align:right;font-variant-numeric:tabular-nums;"
"white-space:nowrap;overflow-wrap:normal}\n"
"</style>\n";


/* ----------------------------------------------------------------
 *		Text
 * ----------------------------------------------------------------
 */

/* Append text from outside. */
static void
escape(StringInfo out, const char *str)
{
	for (const char *p = str; *p != '\0'; p++)
	{
		switch (*p)
		{
			case '&':
				appendStringInfoString(out, "&amp;");
				break;
			case '<':
				appendStringInfoString(out, "&lt;");
				break;
			case '>':
				appendStringInfoString(out, "&gt;");
				break;
			case '"':
				appendStringInfoString(out, "&quot;");
				break;
			case '\'':
				appendStringInfoString(out, "&#39;");
				break;
			default:
				appendStringInfoChar(out, *p);
		}
	}
}

/* A number with as many digits as one wants to read. */
static void
put_number(StringInfo out, double value)
{
	if (value == 0 || value >= 100 || value == rint(value))
		appendStringInfo(out, "%.0f", value);
	else
		appendStringInfo(out, "%.*f", value >= 1 ? 1 : Min((int) ceil(-log10(value)) + 1, 6),
						 value);
}

/* Run a query of ours; each @ in it is the extension's schema. */
static void
run(const char *query, const char *schema)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (const char *p = query; *p != '\0'; p++)
	{
		if (*p == '@')
			appendStringInfoString(&sql, schema);
		else
			appendStringInfoChar(&sql, *p);
	}
	if (SPI_execute(sql.data, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\"", sql.data);
	pfree(sql.data);
}

/* A column of a row of the last query as text; NULL for null. */
static char *
field(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}


/* ----------------------------------------------------------------
 *		Charts
 * ----------------------------------------------------------------
 */

/* A value of the hours' query; NaN for null. */
static double
hour_value(uint64 row, const char *column)
{
	char	   *value = field(row, SPI_fnumber(SPI_tuptable->tupdesc, column));

	return value == NULL ? NAN : strtod(value, NULL);
}

/* The end of a scale for values up to this: 1, 2 or 5 times a power of ten. */
static double
scale_for(double value)
{
	double		power;

	if (!(value > 0))
		return 1;
	power = pow(10, floor(log10(value)));
	return power * (value <= power ? 1 : value <= 2 * power ? 2 : value <= 5 * power ? 5 : 10);
}

static double
highest(const Chart *chart)
{
	double		result = 0;

	for (uint64 h = 0; h < SPI_processed; h++)
	{
		double		sum = 0;

		for (int s = 0; s < MAX_SERIES && chart->series[s].label != NULL; s++)
		{
			double		value = hour_value(h, chart->series[s].column);

			if (!isnan(value))
				sum = chart->bars ? sum + value : Max(sum, value);
		}
		result = Max(result, sum);
	}
	return result;
}

static void
put_axes(StringInfo out, double top)
{
	for (int i = 0; i <= 2; i++)
	{
		double		y = PLOT_TOP + PLOT_HEIGHT * (2 - i) / 2.0;

		appendStringInfo(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
						 "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
						 PLOT_LEFT, PLOT_LEFT + PLOT_WIDTH, y, y, PLOT_LEFT - 6, y + 4);
		put_number(out, top * i / 2);
		appendStringInfoString(out, "</text>\n");
	}
	for (uint64 h = 0; h < SPI_processed; h++)
	{
		/* every fourth, counted from the current hour */
		if ((SPI_processed - 1 - h) % 4 != 0)
			continue;
		appendStringInfo(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
						 PLOT_LEFT + PLOT_WIDTH * (h + 0.5) / SPI_processed, CHART_HEIGHT - 6);
		escape(out, field(h, 1));
		appendStringInfoString(out, "</text>\n");
	}
}

/* What a pointer over an hour shows. */
static void
put_tooltip(StringInfo out, const Chart *chart, uint64 hour)
{
	appendStringInfoString(out, "<title>");
	escape(out, field(hour, 1));
	for (int s = 0; s < MAX_SERIES && chart->series[s].label != NULL; s++)
	{
		double		value = hour_value(hour, chart->series[s].column);

		appendStringInfo(out, " %s ", chart->series[s].label);
		if (isnan(value))
			appendStringInfoChar(out, '-');
		else
			put_number(out, value);
	}
	appendStringInfoString(out, "</title>");
}

static void
put_bars(StringInfo out, const Chart *chart, double top)
{
	double		width = (double) PLOT_WIDTH / SPI_processed;

	for (uint64 h = 0; h < SPI_processed; h++)
	{
		double		y = PLOT_TOP + PLOT_HEIGHT;

		appendStringInfoString(out, "<g>");
		put_tooltip(out, chart, h);
		for (int s = 0; s < MAX_SERIES && chart->series[s].label != NULL; s++)
		{
			double		value = hour_value(h, chart->series[s].column);
			double		height = isnan(value) ? 0 : value / top * PLOT_HEIGHT;

			if (height <= 0)
				continue;
			y -= height;
			appendStringInfo(out, "<rect class=\"f%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
							 chart->series[s].class, PLOT_LEFT + h * width + 1, y, width - 2, height);
		}
		appendStringInfoString(out, "</g>\n");
	}
}

/* A line, broken where there is no value; each value is a dot as well. */
static void
put_line(StringInfo out, const Chart *chart, const Series *series, double top)
{
	StringInfoData path;
	bool		drawing = false;

	initStringInfo(&path);
	for (uint64 h = 0; h < SPI_processed; h++)
	{
		double		value = hour_value(h, series->column);
		double		x = PLOT_LEFT + PLOT_WIDTH * (h + 0.5) / SPI_processed;
		double		y = PLOT_TOP + PLOT_HEIGHT * (1 - Min(value / top, 1.0));

		if (isnan(value))
		{
			drawing = false;
			continue;
		}
		appendStringInfo(&path, "%c%.1f %.1f", drawing ? 'L' : 'M', x, y);
		drawing = true;
		appendStringInfo(out, "<circle class=\"f%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\">",
						 series->class, x, y);
		put_tooltip(out, chart, h);
		appendStringInfoString(out, "</circle>\n");
	}
	appendStringInfo(out, "<path class=\"s%s\" d=\"%s\"/>\n", series->class, path.data);
	pfree(path.data);
}

static void
put_chart(StringInfo out, const Chart *chart)
{
	double		top = chart->top > 0 ? chart->top : scale_for(highest(chart));

	appendStringInfo(out, "<div class=\"chart\"><h3>%s <span class=\"dim\">%s</span>"
					 "<span class=\"legend\">", chart->title, chart->unit);
	for (int s = 0; s < MAX_SERIES && chart->series[s].label != NULL; s++)
		appendStringInfo(out, "<i class=\"l%s\"></i>%s", chart->series[s].class,
						 chart->series[s].label);
	appendStringInfo(out, "</span></h3>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n",
					 CHART_WIDTH, CHART_HEIGHT, chart->title);
	put_axes(out, top);
	if (chart->bars)
		put_bars(out, chart, top);
	else
	{
		for (int s = 0; s < MAX_SERIES && chart->series[s].label != NULL; s++)
			put_line(out, chart, &chart->series[s], top);
	}
	appendStringInfoString(out, "</svg></div>\n");
}


/* ----------------------------------------------------------------
 *		The page
 * ----------------------------------------------------------------
 */

static void
put_head(StringInfo out, const char *schema)
{
	char	   *status;

	run("SELECT h.status, current_database(), to_char(now(), 'YYYY-MM-DD HH24:MI TZ'),"
		" s.hit_ratio_percent, s.calls, s.saved, s.hit_ms, s.query_ms, s.entries, s.used, h.redis_state, s.available"
		" FROM @.cache_health AS h,"
		" (SELECT coalesce(round((100 * hit_ratio)::numeric, 1) || ' %', '-') AS hit_ratio_percent,"
		"  to_char(hits + misses + bypasses, 'FM999G999G999G999G990') AS calls,"
		"  date_trunc('second', justify_interval(time_saved)) AS saved,"
		"  coalesce(round(hit_time_p95_ms::numeric, 4) || ' ms', '-') AS hit_ms,"
		"  coalesce(round(fill_time_p95_ms::numeric, 2) || ' ms', '-') AS query_ms,"
		"  to_char(entries, 'FM999G999G999G990') AS entries,"
		"  pg_size_pretty(memory_used) AS used, pg_size_pretty(memory_limit) AS available"
		"  FROM @.cache_stats) AS s", schema);
	if (SPI_processed != 1)
		elog(ERROR, "no figures");
	status = field(0, 1);

	appendStringInfoString(out,
						   "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
						   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
						   "<meta name=\"viewport\" content=\"width=device-width\">\n<title>cache_ext: ");
	escape(out, field(0, 2));
	appendStringInfoString(out, "</title>\n");
	appendStringInfoString(out, style);
	appendStringInfoString(out, "</head><body><main>\n<header><h1>Query cache</h1><span class=\"badge ");
	escape(out, status);
	appendStringInfoString(out, "\">");
	escape(out, status);
	appendStringInfoString(out, "</span><span class=\"dim\">database ");
	escape(out, field(0, 2));
	appendStringInfoString(out, ", ");
	escape(out, field(0, 3));
	appendStringInfoString(out, ", Redis ");
	escape(out, field(0, 11));
	appendStringInfoString(out, "</span></header>\n<section class=\"tiles\">\n");
	{
		static const char *const labels[] = {"hit ratio", "calls", "time saved",
		"hit, 95 % below", "query, 95 % below", "entries", "used of "};

		for (int i = 0; i < lengthof(labels); i++)
		{
			appendStringInfoString(out, "<div class=\"tile\"><b>");
			escape(out, field(0, i + 4));
			appendStringInfo(out, "</b><span class=\"dim\">%s", labels[i]);
			if (i == lengthof(labels) - 1)
				escape(out, field(0, 12));
			appendStringInfoString(out, "</span></div>\n");
		}
	}
	appendStringInfoString(out, "</section>\n");
}

static void
put_charts(StringInfo out, const char *schema)
{
	run("SELECT to_char(g.hour, 'HH24:MI'), h.*, 100 * h.hit_ratio AS hit_percent"
		" FROM (SELECT to_timestamp(3600 * floor(extract(epoch FROM now())::double precision / 3600)"
		"  - 3600 * (23 - n)::double precision) AS hour"
		"  FROM generate_series(0, 23) AS n) AS g"
		"  LEFT JOIN @.cache_stats_hourly AS h ON h.hour = g.hour ORDER BY g.hour", schema);
	appendStringInfoString(out, "<h2>The last 24 hours</h2>\n<section class=\"charts\">\n");
	for (int i = 0; i < lengthof(charts); i++)
		put_chart(out, &charts[i]);
	appendStringInfoString(out, "</section>\n");
}

static void
put_table(StringInfo out, const Table *table, const char *schema)
{
	char	   *headings = pstrdup(table->headings);
	char	   *rest;
	bool		number[16] = {false};
	int			n = 0;

	run(table->query, schema);
	appendStringInfo(out, "<h2>%s</h2>\n<div class=\"scroll\">", table->title);
	if (SPI_processed == 0)
	{
		appendStringInfo(out, "<p class=\"dim\">%s</p></div>\n", table->empty);
		return;
	}
	appendStringInfoString(out, "<table><thead><tr>");
	for (char *h = strtok_r(headings, "|", &rest); h != NULL; h = strtok_r(NULL, "|", &rest))
	{
		number[n] = h[0] == '#';
		appendStringInfo(out, number[n] ? "<th class=\"n\">%s</th>" : "<th>%s</th>",
						 h + number[n]);
		n++;
	}
	appendStringInfoString(out, "</tr></thead><tbody>\n");
	Assert(n == SPI_tuptable->tupdesc->natts && n <= lengthof(number));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		appendStringInfoString(out, "<tr>");
		for (int i = 0; i < n; i++)
		{
			char	   *value = field(row, i + 1);

			appendStringInfoString(out, number[i] ? "<td class=\"n\">" : "<td>");
			if (value != NULL)
				escape(out, value);
			appendStringInfoString(out, "</td>");
		}
		appendStringInfoString(out, "</tr>\n");
	}
	appendStringInfoString(out, "</tbody></table></div>\n");
	pfree(headings);
}

/* cache_report() returns text */
Datum
cache_report(PG_FUNCTION_ARGS)
{
	const char *schema = quote_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)));
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData out;
	int			nest = NewGUCNestLevel();

	/* schema and out are the caller's, not SPI's */
	initStringInfo(&out);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	put_head(&out, schema);
	put_charts(&out, schema);
	for (int i = 0; i < lengthof(tables); i++)
		put_table(&out, &tables[i], schema);
	appendStringInfoString(&out, "</main></body></html>\n");
	SPI_finish();
	AtEOXact_GUC(true, nest);

	MemoryContextSwitchTo(caller);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

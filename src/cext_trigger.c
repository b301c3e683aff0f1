/*-------------------------------------------------------------------------
 *
 * cext_trigger.c
 *		cache_invalidate_trigger(): rows that change invalidate keys.
 *
 * The trigger's arguments are templates: keys or patterns with {column} in
 * them; \{ is a brace.  They are compiled once per trigger and statement, in
 * fn_extra.  For a row, a template without wildcards becomes a key, and
 * a tag, without a pattern in between; with wildcards the values are escaped,
 * so that no value can widen a pattern.  NULL invalidates nothing.
 *
 * A key must not depend on who writes: values are written with the settings of
 * pg_dump (ISO dates, shortest exact floats, bytea in hex) and in UTC.
 *
 * Row triggers see one row; statement triggers walk the transition tables.
 * Without these, and on TRUNCATE, a {column} stands for any value.  Without a
 * template, the table itself is invalidated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_pattern.h"
#include "cext_relation.h"
#include "cext_trigger.h"

PG_FUNCTION_INFO_V1(cache_invalidate_trigger);

/* Literal text, then a column's value unless attnum is 0. */
typedef struct Segment
{
	char	   *literal;
	int			len;
	AttrNumber	attnum;
	FmgrInfo	output;
} Segment;

typedef struct Template
{
	CextPatternKind kind;		/* KEY or GLOB: prefixes look like globs here */
	int			nsegments;
	Segment    *segments;
} Template;

typedef struct Compiled
{
	Oid			trigger;
	bool		table_done;		/* without templates: once is enough */
	int			ntemplates;
	Template   *templates;
} Compiled;


/* ----------------------------------------------------------------
 *		Templates
 * ----------------------------------------------------------------
 */

static void
invalid_template(const char *source, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid cache key template \"%s\"", source),
			 errdetail_internal("%s", detail)));
}

/*
 * Compile a template; the result is palloc'd.  As in cache_invalidate(), one
 * that may match every key needs the privilege of cache_clear(): the table
 * owner's, since the trigger is the owner's doing.  Without a relation it is for
 * no row: columns are not looked up.
 */
static void
compile_template(const char *source, Relation rel, Oid owner, Oid schema, Template *t)
{
	StringInfoData literal;
	const char *p = source;

	t->kind = CEXT_PATTERN_KEY;
	t->nsegments = 0;
	t->segments = palloc0((strlen(source) + 1) * sizeof(Segment));
	if (*source == '\0')
		invalid_template(source, _("It is empty."));
	if ((*source == '{' ||
		 !cext_pattern_has_literal_start(source, strlen(source))) &&
		!cext_may_clear(schema, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for cache key template \"%s\"", source),
				 errdetail("A template that starts with a wildcard or a column needs the privilege of the table's owner to execute cache_clear()."),
				 errhint("Start the template with a literal character.")));
	initStringInfo(&literal);

	for (;;)
	{
		Segment    *s = &t->segments[t->nsegments];

		if (*p == '\\' && p[1] != '\0')
		{
			/* a brace loses its escape here, the rest when matching */
			if (p[1] != '{' && p[1] != '}')
				appendStringInfoChar(&literal, '\\');
			appendStringInfoChar(&literal, p[1]);
			p += 2;
			continue;
		}
		if (*p == '{' || *p == '\0')
		{
			s->literal = pnstrdup(literal.data, literal.len);
			s->len = literal.len;
			s->attnum = 0;
			t->nsegments++;
			resetStringInfo(&literal);
		}
		if (*p == '\0')
			break;
		if (*p == '{')
		{
			const char *start = p;
			const char *end = strchr(p, '}');
			char	   *name;
			Oid			output;
			bool		varlena;

			if (end == NULL)
				invalid_template(source, _("A brace is not closed."));
			p = end + 1;
			if (rel == NULL)
			{
				s->attnum = 1;
				continue;
			}
			name = pnstrdup(start + 1, end - start - 1);
			s->attnum = get_attnum(RelationGetRelid(rel), name);
			if (s->attnum <= 0)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("column \"%s\" of cache key template \"%s\" does not exist in table \"%s\"",
								name, source, RelationGetRelationName(rel))));
			getTypeOutputInfo(TupleDescAttr(RelationGetDescr(rel), s->attnum - 1)->atttypid,
							  &output, &varlena);
			fmgr_info(output, &s->output);
			continue;
		}
		if (*p == '*' || *p == '?' || *p == '[')
			t->kind = CEXT_PATTERN_GLOB;
		appendStringInfoChar(&literal, *p++);
	}
	pfree(literal.data);

	/* without wildcards the text is a key: nothing left to escape */
	if (t->kind == CEXT_PATTERN_KEY)
	{
		for (int i = 0; i < t->nsegments; i++)
		{
			StringInfoData plain;

			initStringInfo(&plain);
			(void) cext_pattern_classify(t->segments[i].literal, t->segments[i].len, &plain);
			t->segments[i].literal = plain.data;
			t->segments[i].len = plain.len;
		}
	}
}

void
cext_template_check(const char *source, Relation rel, Oid schema)
{
	Template	t;

	compile_template(source, rel, rel->rd_rel->relowner, schema, &t);
}

/* The trigger's templates, compiled in the memory of its FmgrInfo. */
static Compiled *
get_compiled(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	Compiled   *c = fcinfo->flinfo->fn_extra;
	Trigger    *trigger = trigdata->tg_trigger;
	MemoryContext old;

	if (likely(c != NULL && c->trigger == trigger->tgoid))
		return c;
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = NULL;
	c = palloc0(sizeof(Compiled));
	c->trigger = trigger->tgoid;
	c->ntemplates = trigger->tgnargs;
	c->templates = palloc0((trigger->tgnargs + 1) * sizeof(Template));
	for (int i = 0; i < trigger->tgnargs; i++)
		compile_template(trigger->tgargs[i], trigdata->tg_relation,
						 trigdata->tg_relation->rd_rel->relowner,
						 get_func_namespace(fcinfo->flinfo->fn_oid), &c->templates[i]);
	fcinfo->flinfo->fn_extra = c;
	MemoryContextSwitchTo(old);
	return c;
}

/*
 * Invalidate what a template makes of a row; of no row, what it could make of
 * any.
 */
static void
apply_template(Template *t, TupleTableSlot *slot, StringInfo buf)
{
	CextPatternKind kind = slot == NULL && t->nsegments > 1 ? CEXT_PATTERN_GLOB : t->kind;

	resetStringInfo(buf);
	for (int i = 0; i < t->nsegments; i++)
	{
		Segment    *s = &t->segments[i];
		Datum		value;
		bool		isnull;
		char	   *str;

		if (kind != t->kind)
			cext_pattern_append_escaped(buf, s->literal, s->len);
		else
			appendBinaryStringInfo(buf, s->literal, s->len);
		if (s->attnum == 0)
			continue;
		if (slot == NULL)
		{
			appendStringInfoChar(buf, '*');
			continue;
		}
		value = slot_getattr(slot, s->attnum, &isnull);
		if (isnull)
			return;
		str = OutputFunctionCall(&s->output, value);
		if (kind == CEXT_PATTERN_GLOB)
			cext_pattern_append_escaped(buf, str, strlen(str));
		else
			appendStringInfoString(buf, str);
	}
	if (kind == CEXT_PATTERN_KEY)
		cext_inval_key(buf->data, buf->len);
	else
		cext_inval_pattern(buf->data, buf->len);
}

static void
apply_row(Compiled *c, TupleTableSlot *slot, StringInfo buf)
{
	for (int i = 0; i < c->ntemplates; i++)
		apply_template(&c->templates[i], slot, buf);
}

static void
apply_table(Compiled *c, Relation rel, Tuplestorestate *rows, StringInfo buf,
			MemoryContext row_context)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsMinimalTuple);

	tuplestore_rescan(rows);

	/* a row read back from disk belongs to the slot, so not to row_context */
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);

		apply_row(c, slot, buf);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
}


/* ----------------------------------------------------------------
 *		The trigger
 * ----------------------------------------------------------------
 */

static void
fire(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	Compiled   *c = get_compiled(fcinfo, trigdata);
	TriggerEvent event = trigdata->tg_event;
	Relation	rel = trigdata->tg_relation;
	StringInfoData buf;

	initStringInfo(&buf);
	if (TRIGGER_FIRED_FOR_ROW(event))
	{
		apply_row(c, trigdata->tg_trigslot, &buf);
		if (TRIGGER_FIRED_BY_UPDATE(event))
			apply_row(c, trigdata->tg_newslot, &buf);
	}
	else if (!TRIGGER_FIRED_BY_TRUNCATE(event) &&
			 (trigdata->tg_oldtable != NULL || trigdata->tg_newtable != NULL))
	{
		MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
														  "cache_ext transition rows",
														  ALLOCSET_SMALL_SIZES);

		if (trigdata->tg_oldtable != NULL)
			apply_table(c, rel, trigdata->tg_oldtable, &buf, row_context);
		if (trigdata->tg_newtable != NULL)
			apply_table(c, rel, trigdata->tg_newtable, &buf, row_context);
		MemoryContextDelete(row_context);
	}
	else
	{
		for (int i = 0; i < c->ntemplates; i++)
			apply_template(&c->templates[i], NULL, &buf);
	}
	pfree(buf.data);
}

/*
 * Do what the TRUNCATE triggers of a relation would do if they fired.  Ours are
 * told by their function's C name.
 *
 * The relation is one above that which TRUNCATE is about to lock, and not locked
 * itself; nor is it here, for TRUNCATE would wait for no lock on it either.  So
 * it may be gone, and the relcache entry may change: what we use is a copy.
 */
void
cext_trigger_truncated(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	TriggerDesc *desc;
	Oid			owner;

	if (!RelationIsValid(rel))
		return;
	desc = CopyTriggerDesc(rel->trigdesc);
	owner = rel->rd_rel->relowner;
	RelationClose(rel);
	for (int i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		Trigger    *trigger = &desc->triggers[i];
		StringInfoData buf;
		FmgrInfo	flinfo;

		if (!TRIGGER_FOR_TRUNCATE(trigger->tgtype) ||
			trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		fmgr_info(trigger->tgfoid, &flinfo);
		if (flinfo.fn_addr != cache_invalidate_trigger)
			continue;
		initStringInfo(&buf);
		for (int j = 0; j < trigger->tgnargs; j++)
		{
			Template	t;

			compile_template(trigger->tgargs[j], NULL, owner,
							 get_func_namespace(trigger->tgfoid), &t);
			apply_template(&t, NULL, &buf);
		}
		pfree(buf.data);
	}
	FreeTriggerDesc(desc);
}

/* cache_invalidate_trigger('template', ...) */
Datum
cache_invalidate_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	int			saved_datestyle = DateStyle;
	int			saved_intervalstyle = IntervalStyle;
	int			saved_float_digits = extra_float_digits;
	int			saved_bytea_output = bytea_output;
	pg_tz	   *saved_timezone = session_timezone;
	static pg_tz *utc = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cache_invalidate_trigger")));
	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER the event",
						"cache_invalidate_trigger")));

	if (trigdata->tg_trigger->tgnargs == 0)
	{
		Compiled   *c = get_compiled(fcinfo, trigdata);

		if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
			cext_inval_relation_tree(RelationGetRelid(trigdata->tg_relation));
		else if (!c->table_done)
		{
			cext_inval_relation(RelationGetRelid(trigdata->tg_relation));
			c->table_done = true;
		}
		return PointerGetDatum(NULL);
	}

	if (utc == NULL)
		utc = pg_tzset("UTC");
	DateStyle = USE_ISO_DATES;
	IntervalStyle = INTSTYLE_POSTGRES;
	extra_float_digits = 1;
	bytea_output = BYTEA_OUTPUT_HEX;
	if (utc != NULL)
		session_timezone = utc;
	PG_TRY();
	{
		fire(fcinfo, trigdata);
	}
	PG_FINALLY();
	{
		DateStyle = saved_datestyle;
		IntervalStyle = saved_intervalstyle;
		extra_float_digits = saved_float_digits;
		bytea_output = saved_bytea_output;
		session_timezone = saved_timezone;
	}
	PG_END_TRY();
	return PointerGetDatum(NULL);
}

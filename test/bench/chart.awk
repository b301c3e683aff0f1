# test/bench/chart.awk - horizontal bars as an SVG image
#
# Reads lines of PANEL, ROW, VALUE, LOW, HIGH, with tabs between them.  Panels
# stand side by side, rows below each other, in the order of their appearance; a
# line from low to high crosses the bar.  Variables: title, unit, source, and
# axis, linear or log.  What begins with "cache" is ours, and in colour.

BEGIN { FS = "\t" }

function xml(s)
{
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

function number(v)
{
	if (v >= 100) return sprintf("%.0f", v)
	if (v >= 10) return sprintf("%.1f", v)
	if (v >= 0.1) return sprintf("%.2f", v)
	if (v >= 0.01) return sprintf("%.3f", v)
	return sprintf("%.2g", v)
}

# The greatest power of ten up to v.
function decade(v,    e)
{
	for (e = 1; e > v * 1.000001; e /= 10)
		;
	for (; e * 10 <= v * 1.000001; e *= 10)
		;
	return e
}

# The least of 1, 2 and 5 times a power of ten that is at least v.
function above(v,    e)
{
	e = decade(v)
	return e >= v * 0.999999 ? e : e * 2 >= v ? e * 2 : e * 5 >= v ? e * 5 : e * 10
}

# The greatest of these up to v.
function below(v,    e)
{
	e = decade(v)
	return e * 5 <= v ? e * 5 : e * 2 <= v ? e * 2 : e
}

function x(v)
{
	if (axis == "log")
		return v <= min ? 0 : log(v / min) / log(max / min) * plot
	return v / max * plot
}

function text(px, py, class, s)
{
	printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", px, py, class, xml(s)
}

$3 != "" {
	if (!($1 in panel)) { panel[$1] = ++panels; panel_name[panels] = $1 }
	if (!($2 in row)) { row[$2] = ++rows; row_name[rows] = $2 }
	k = panel[$1] SUBSEP row[$2]
	value[k] = $3; low[k] = $4; high[k] = $5
	if (max == "" || $3 > max) max = $3 + 0
	if (min == "" || $3 < min) min = $3 + 0
	if (length($2) > longest) longest = length($2)
}

END {
	if (!rows || max <= 0) exit
	max = above(max)
	if (axis == "log") {
		# what is least has a bar as well
		min = below(min / 1.5)
		for (first = decade(min); first < min * 0.999999; first *= 10)
			;
	}
	left = 24 + longest * 6.6
	width = 1000; step = 22; top = 84; gap = 18; room = 44
	panel_width = (width - left - 16) / panels
	plot = panel_width - gap - room
	bottom = top + rows * step
	height = bottom + 52

	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", \
		width, height, width, height
	print "<title>" xml(title) "</title>"
	print "<style>\n" \
		"text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }\n" \
		".page { fill: #ffffff }\n.title { font-size: 17px; font-weight: 600 }\n" \
		".panel { font-weight: 600 }\n.soft { fill: #59636e }\n.tick { fill: #59636e; font-size: 10px; text-anchor: middle }\n" \
		".label { text-anchor: end }\n.our { font-weight: 600 }\n.grid { stroke: #d1d9e0; stroke-width: 1 }\n" \
		".bar { fill: #9aa7b4 }\n.bar.our { fill: #1a7f64 }\n.range { stroke: #1f2328; stroke-width: 1.2 }\n" \
		"@media (prefers-color-scheme: dark) {\n" \
		"text { fill: #e6edf3 }\n.page { fill: #0d1117 }\n.soft, .tick { fill: #9198a1 }\n.grid { stroke: #30363d }\n" \
		".bar { fill: #57606a }\n.bar.our { fill: #2ea583 }\n.range { stroke: #e6edf3 }\n}\n</style>"
	printf "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", width, height
	text(16, 30, "title", title)
	text(16, 50, "soft", unit (axis == "log" ? "; logarithmic scale" : "") "; the line goes from the lowest to the highest round")
	for (p = 1; p <= panels; p++) {
		x0 = left + (p - 1) * panel_width
		text(x0, top - 10, "panel", panel_name[p])
		if (axis == "log") {
			skip = x(first * 10) - x(first) < 32
			for (v = first; v <= max * 1.001; v *= 10) {
				printf "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", x0 + x(v), top, x0 + x(v), bottom
				odd = int(log(v) / log(10) + 100.5) % 2
				if (!skip || !odd)
					text(x0 + x(v), bottom + 14, "tick", v + 0)
			}
		} else {
			for (i = 0; i <= 2; i++) {
				v = max * i / 2
				printf "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", x0 + x(v), top, x0 + x(v), bottom
				text(x0 + x(v), bottom + 14, "tick", v + 0)
			}
		}
		for (r = 1; r <= rows; r++) {
			k = p SUBSEP r
			y = top + (r - 1) * step
			class = row_name[r] ~ /^cache/ ? " our" : ""
			if (p == 1)
				text(left - 10, y + 15, "label" class, row_name[r])
			if (!(k in value))
				continue
			printf "<rect class=\"bar%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"14\" rx=\"2\"/>\n", \
				class, x0, y + 4, (x(value[k]) > 1 ? x(value[k]) : 1)
			end = x(value[k])
			if (low[k] != "" && high[k] != "") {
				printf "<line class=\"range\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x0 + x(low[k]), y + 11, \
					x0 + (x(high[k]) < plot ? x(high[k]) : plot), y + 11
				if (x(high[k]) > end) end = x(high[k])
			}
			if (end > plot) end = plot
			text(x0 + end + 5, y + 15, class, number(value[k]))
		}
	}
	text(16, height - 12, "soft", source)
	print "</svg>"
}

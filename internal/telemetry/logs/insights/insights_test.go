package insights

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// report is a line that Lambda writes.
const report = "REPORT RequestId: 4f6f2f2a-0000-4000-8000-000000000001\tDuration: 12.50 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 100.00 ms\tRestore Duration: 5 ms\n"

// events are what the cases ask, a second apart.
var events = []string{
	`{"level": "INFO", "status": 200, "user": {"name": "ann", "ids": [7, 8]}, "ok": true, "ip": "10.0.0.7"}`,
	`{"level": "ERROR", "status": 500, "user": {"name": "bob"}, "ok": false, "ip": "192.168.1.1"}`,
	`plain text user=carl took 35 ms`,
	`{"level": "INFO", "status": 404, "user": {"name": "ann"}, "ok": true}`,
	report,
	"2024-01-01T00:00:00.000Z\t4f6f2f2a-0000-4000-8000-000000000001\tINFO\thello",
	"[INFO]\t2024-01-01T00:00:00.000Z\t4f6f2f2a-0000-4000-8000-000000000001\thello",
}

const begun = 1_700_000_000_000 // 2023-11-14 22:13:20

func run(t *testing.T, query string) ([][]Field, *Run) {
	t.Helper()
	q, err := Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	r := q.Start(LimitDefault)
	for i, message := range events {
		e := Event{Log: "1:g", Stream: "s", Message: message, Time: begun + int64(i)*1000, Ingested: begun + 5, Pointer: fmt.Sprint("p", i)}
		if err := r.Add(e); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	rows, err := r.End()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return rows, r
}

// shown is rows as text: columns without @ptr, rows with a slash between.
func shown(rows [][]Field) string {
	var all []string
	for _, row := range rows {
		var fields []string
		for _, f := range row {
			if f.Name != "@ptr" {
				fields = append(fields, f.Name+"="+f.Value)
			}
		}
		all = append(all, strings.Join(fields, " "))
	}
	return strings.Join(all, " / ")
}

func TestQueries(t *testing.T) {
	for query, want := range map[string]string{
		// order, limits and columns
		`fields status | limit 2`:                                                                     `/`,
		`fields status | filter ispresent(status) | limit 2`:                                          `status=404 / status=500`,
		`filter level = "ERROR"`:                                                                      `@timestamp=2023-11-14 22:13:21.000 @message=` + events[1],
		`fields status, level | filter status > 0 | sort status`:                                      `status=200 level=INFO / status=404 level=INFO / status=500 level=ERROR`,
		`fields status | filter status > 0 | sort status desc | limit 1`:                              `status=500`,
		`fields status | filter status > 0 | sort level desc, status asc`:                             `status=200 / status=404 / status=500`,
		`fields level | display status | filter status = 500`:                                         `status=500`,
		`fields status as s, s + 1 as n | filter s = 500`:                                             `s=500 n=501`,
		"fields `status` | filter `status` = 500":                                                     `status=500`,
		`fields status + 1 | filter status=500`:                                                       `status + 1=501`,
		"# a comment\nfields @logStream # more\n| filter @timestamp = 1700000001000 and @log = '1:g'": `@logStream=s`,
		`fields @ingestionTime | filter status = 500`:                                                 `@ingestionTime=2023-11-14 22:13:20.005`,
		`FIELDS status | FILTER status = 500 OR status = 404 | SORT status`:                           `status=404 / status=500`,
		// nested and literal
		`fields user.name, user.ids.1 | filter user.ids.0 = 7`:                                             `user.name=ann user.ids.1=8`,
		`fields status | filter ok = true and status != 200`:                                               `status=404`,
		`fields status | filter ok = 'false'`:                                                              `status=500`,
		`fields status | filter not ok = true and ispresent(ok)`:                                           `status=500`,
		`fields status | filter (status = 500 or status = 404) and level = 'ERROR'`:                        `status=500`,
		`fields status | filter status in [404, 200] | sort status`:                                        `status=200 / status=404`,
		`fields status | filter user.name not in ["ann"] and ispresent(status)`:                            `status=500`,
		`fields status | filter user.name like /^[bc]o/`:                                                   `status=500`,
		`fields status | filter user.name =~ /(?i)BOB/`:                                                    `status=500`,
		`fields status | filter user.name like "nn" | sort status | limit 1`:                               `status=200`,
		`fields status | filter user.name not like "nn" and ispresent(status)`:                             `status=500`,
		`fields status | filter ip like /192\.168\/?/`:                                                     `status=500`,
		`fields status | filter missing = 1`:                                                               ``,
		`fields status | filter ispresent(status) and status != 500 and status != 200 and status != "404"`: ``,
		// arithmetic
		`fields 1 + 2 * 3 as a, (1 + 2) * 3 as b, 2 ^ 3 ^ 2 as c, 7 % 4 as d, -2 + 5 as e, 1 / 0 as f, 7 / 2 as g | filter status = 500`: `a=7 b=9 c=512 d=3 e=3 g=3.5`,
		// functions
		`fields abs(-2), ceil(1.2), floor(-1.2), sqrt(9), greatest(1, 3, 2), least(3, 1) | filter status = 500`:                        `abs(-2)=2 ceil(1.2)=2 floor(-1.2)=-2 sqrt(9)=3 greatest(1, 3, 2)=3 least(3, 1)=1`,
		`fields strlen('héé') as a, toupper('é') as b, tolower('A') as c, substr('héllo', 1, 3) as d | filter status = 500`:            `a=3 b=É c=a d=éll`,
		`fields concat(level, '-', status) as a, replace('aXbX', 'X', '') as b, strcontains('abc', 'b') as c | filter status = 500`:    `a=ERROR-500 b=ab c=1`,
		`fields trim('  a ') as a, ltrim('xxa', 'x') as b, rtrim('axx', 'x') as c, coalesce(missing, 'd') as d | filter status = 500`:  `a=a b=a c=a d=d`,
		`fields isempty(missing) as a, isblank('  ') as b, ispresent(missing) as c | filter status = 500`:                              `a=1 b=1 c=0`,
		`fields status | filter isIpInSubnet(ip, "10.0.0.0/8")`:                                                                        `status=200`,
		`fields isValidIp(ip) as a, isValidIpv6(ip) as b | filter status = 500`:                                                        `a=1 b=0`,
		`fields bin(1m) as a, datefloor(@timestamp, 1h) as b, dateceil(@timestamp, 1d) as c | filter status = 500`:                     `a=2023-11-14 22:13:00.000 b=2023-11-14 22:00:00.000 c=2023-11-15 00:00:00.000`,
		`fields bin(1mo) as a, bin(1q) as b, bin(2 minutes) as c, toMillis(@timestamp) as d, fromMillis(0) as e | filter status = 500`: `a=2023-11-01 00:00:00.000 b=2023-10-01 00:00:00.000 c=2023-11-14 22:12:00.000 d=1700000001000 e=1970-01-01 00:00:00.000`,
		// parse
		`parse @message "user=* took * ms" as who, took | display who, took | filter took > 30`: `who=carl took=35`,
		`parse @message /took (?<took>\d+)/ | filter ispresent(took)`:                           `@timestamp=2023-11-14 22:13:22.000 @message=` + events[2] + ` took=35`,
		`fields @logStream | parse @message "user=* *" as who, rest | filter ispresent(who)`:    `@logStream=s who=carl rest=took 35 ms`,
		`fields status | parse user.name /^(.)(.*)$/ as first, rest | filter first = 'b'`:       `status=500 first=b rest=ob`,
		// stats
		`stats count(*), count(status) as n, count_distinct(level) as d`:                                                               `count(*)=7 n=3 d=2`,
		`stats sum(status) as s, avg(status) as a, min(status) as i, max(status) as x by level | filter ispresent(level) | sort level`: `level=ERROR s=500 a=500 i=500 x=500 / level=INFO s=604 a=302 i=200 x=404`,
		`stats pct(status, 50) as p, stddev(status) as s, sum(status) / count(status) as m`:                                            `p=404 s=153.20574401764446 m=368`,
		`stats count() as n by bin(2s) as at`:                                                                                          `at=2023-11-14 22:13:26.000 n=1 / at=2023-11-14 22:13:24.000 n=2 / at=2023-11-14 22:13:22.000 n=2 / at=2023-11-14 22:13:20.000 n=2`,
		`stats earliest(status) as a, latest(status) as b, sortsFirst(user.name) as c, sortsLast(user.name) as d`:                      `a=200 b=404 c=ann d=bob`,
		`filter status > 1000 | stats count(*)`:                                                                                        ``,
		`stats count(*) as n by user.name | stats max(n) as most`:                                                                      `most=4`,
		`filter ispresent(level) | stats count(*) as n by level | sort n desc | limit 1`:                                               `level=INFO n=2`,
		// dedup
		`fields level, status | filter ispresent(level) | dedup level`:               `level=INFO status=404 / level=ERROR status=500`,
		`fields level, status | filter ispresent(level) | sort status | dedup level`: `level=INFO status=200 / level=ERROR status=500`,
		// Lambda's own lines
		`filter @type = "REPORT" | fields @requestId, @duration, @billedDuration, @memorySize, @maxMemoryUsed, @initDuration`: `@requestId=4f6f2f2a-0000-4000-8000-000000000001 @duration=12.5 @billedDuration=13 @memorySize=128000000 @maxMemoryUsed=40000000 @initDuration=100`,
		`filter @requestId like /^4f6f2f2a/ | stats count(*) as n by @type | sort @type`:                                      `n=2 / @type=REPORT n=1`,
	} {
		rows, _ := run(t, query)
		if got := shown(rows); got != want {
			if want == "/" && len(rows) == 2 {
				continue
			}
			t.Errorf("%s:\n got %s\nwant %s", query, got, want)
		}
	}
}

func TestPointersAndCounts(t *testing.T) {
	rows, r := run(t, `fields level | filter status = 500 or status = 404 | limit 1`)
	if r.Matched != 2 || len(rows) != 1 || rows[0][1] != (Field{"@ptr", "p3"}) {
		t.Errorf("%d matched, %v", r.Matched, rows)
	}
	if rows, r := run(t, `stats count(*) as n`); r.Matched != 7 || len(rows[0]) != 1 {
		t.Errorf("%d matched, %v", r.Matched, rows)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for query, want := range map[string]string{
		``:                                    "unexpected end of the query",
		`fields`:                              "unexpected end of the query",
		`nothing`:                             "unexpected symbol found nothing at line 1 and position 0",
		"fields a |\nbad":                     "unexpected symbol found bad at line 2 and position 0",
		`fields a | `:                         "unexpected end of the query",
		`fields a b`:                          "unexpected symbol found b at line 1 and position 9",
		`fields unknown(a)`:                   "unknown function unknown",
		`fields strlen()`:                     "wrong number of arguments for strlen: 0",
		`fields sum(a)`:                       "the function sum is for stats alone",
		`stats sum(max(a))`:                   "the function max is for stats alone",
		`stats a`:                             "stats needs functions over groups: a is a field",
		`stats count(*) by sum(a)`:            "the function sum is for stats alone",
		`stats pct(a, 101)`:                   "a percentile is a number from 0 to 100",
		`filter a like /(/`:                   "invalid regular expression: missing closing ): `(`",
		`filter a like /x`:                    "a regular expression is not closed",
		`filter a = "x`:                       `a quote is not closed: "`,
		`limit 0`:                             "the limit must be between 1 and 100000",
		`limit 100001`:                        "the limit must be between 1 and 100000",
		`parse @message "a * b * c" as x`:     "the pattern has 2 parts, and as names 1",
		`parse @message "a * b"`:              "unexpected end of the query",
		`parse @message /no names/`:           "the pattern names no field",
		`stats count(*) by bin(5x)`:           "invalid time period 5x",
		`pattern @message`:                    "the command pattern is not supported here",
		`filter ` + strings.Repeat("(", 1000): "the query is nested too deeply: 64 levels are the most",
		`fields a ?`:                          "unexpected symbol found ? at line 1 and position 9",
	} {
		_, err := Parse(query)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Text != want {
			t.Errorf("%.40s: %v, want %s", query, err, want)
		} else if syntax.Start > syntax.End || syntax.End > len(query) {
			t.Errorf("%.40s: at %d to %d of %d", query, syntax.Start, syntax.End, len(query))
		}
	}
}

// TestBounds keeps what a run holds bounded, and answers the first rows of many.
func TestBounds(t *testing.T) {
	feed := func(query string, n int, message func(i int) string) ([][]Field, error) {
		q, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		r := q.Start(LimitDefault)
		for i := range n {
			if err := r.Add(Event{Message: message(i), Time: int64(i)}); err != nil {
				return nil, err
			}
		}
		return r.End()
	}
	long := strings.Repeat("x", 100_000)
	for _, query := range []string{`dedup @message`, `stats count(*) by @message`, `stats count_distinct(@message)`, `sort @message | filter 1`} {
		if _, err := feed(query, 2000, func(i int) string { return fmt.Sprint(i, long) }); !errors.Is(err, ErrTooMuch) {
			t.Errorf("%s: %v", query, err)
		}
	}
	rows, err := feed(`fields @timestamp | sort @timestamp desc | limit 3`, 5000, func(int) string { return long })
	if err != nil || len(rows) != 3 || rows[0][0].Value != "1970-01-01 00:00:04.999" {
		t.Errorf("%v, %v", rows, err)
	}
	double := "fields '0123456789' as a" + strings.Repeat(" | fields concat(a, a) as a", 60) + " | filter strlen(a) > 0"
	if rows, err := feed(double, 1, func(int) string { return "" }); err != nil || len(rows) != 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	if rows, err := feed(`filter ispresent(a.b)`, 1, func(int) string { return deep }); err != nil || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
}

// FuzzQuery never panics, and a query that parses runs.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{
		`fields @timestamp, a.b as c | filter c like /x/ and not d in [1, "2"] | sort c desc | limit 3`,
		`parse @message "a * b *" as x, y | stats pct(x, 99), count(*) by bin(5m), y | dedup y`,
		"fields `a b` | display abs(-1) ^ 2 % 3 # c",
	} {
		f.Add(query, `{"a": {"b": [1, "2"]}}`)
	}
	f.Add(`filter @type = "REPORT"`, report)
	f.Fuzz(func(t *testing.T, query, message string) {
		q, err := Parse(query)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Start < 0 || syntax.Start > syntax.End || syntax.End > len(query) {
				t.Fatalf("%#v", err)
			}
			return
		}
		r := q.Start(10)
		for i := range 3 {
			if err := r.Add(Event{Message: message, Time: int64(i)}); err != nil {
				return
			}
		}
		if rows, err := r.End(); err == nil && len(rows) > 10 {
			t.Fatalf("%d rows", len(rows))
		}
	})
}

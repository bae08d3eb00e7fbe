// Package streams is a server that speaks as much of Kinesis Data Streams and of DynamoDB Streams as readers of
// streams use, for what other implementations cannot show: resharding, throttles, iterators that expire, records
// that are gone. It must never import a room: it stands for somebody else's service.
package streams

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// pageMax is small, so that readers turn pages.
const pageMax = 2

// Server holds streams. Its methods may be called while readers read.
type Server struct {
	URL string

	t testing.TB

	mu         sync.Mutex
	streams    map[string]*stream
	sequence   int
	generation int // of iterators
	faults     []string
	calls      map[string]int
}

type stream struct {
	arn    string
	table  bool
	shards []*shard
}

type shard struct {
	id       string
	parents  []string
	from, to uint32 // of the keys' hashes, half open
	records  []held
	trimmed  int
	closed   bool
}

type held struct {
	sequence, key, data string
	change              map[string]any
	at                  time.Time
}

const hashMax = 1 << 24

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	s := &Server{t: t, streams: map[string]*stream{}, calls: map[string]int{}}
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	s.URL = listener.URL
	return s
}

// Stream makes a Kinesis stream with one shard and returns its ARN.
func (s *Server) Stream(name string) string {
	return s.add("arn:aws:kinesis:us-east-1:000000000000:stream/"+name, false)
}

// Table makes a table's stream and returns its ARN.
func (s *Server) Table(name string) string {
	return s.add("arn:aws:dynamodb:us-east-1:000000000000:table/"+name+"/stream/2026-01-01T00:00:00.000", true)
}

func (s *Server) add(arn string, table bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &stream{arn: arn, table: table}
	s.streams[arn] = st
	s.shard(st, 0, hashMax)
	return arn
}

func (s *Server) shard(st *stream, from, to uint32, parents ...*shard) {
	s.sequence++
	sh := &shard{id: fmt.Sprintf("shardId-%012d", s.sequence), from: from, to: to}
	for _, p := range parents {
		p.closed = true
		sh.parents = append(sh.parents, p.id)
	}
	st.shards = append(st.shards, sh)
}

// Put writes records to a Kinesis stream, or changes of the items with this key to a table's.
func (s *Server) Put(arn, key string, data ...string) {
	s.PutAt(arn, time.Now(), key, data...)
}

// PutAt writes records that arrived at another time.
func (s *Server) PutAt(arn string, at time.Time, key string, data ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[arn]
	for _, d := range data {
		s.sequence++
		r := held{sequence: fmt.Sprintf("4959%020d", s.sequence), key: key, data: base64.StdEncoding.EncodeToString([]byte(d)), at: at}
		if st.table {
			keys := map[string]any{"id": map[string]string{"S": key}}
			r.change = map[string]any{
				"awsRegion": "us-east-1", "eventID": fmt.Sprintf("%032x", s.sequence), "eventName": "INSERT", "eventSource": "aws:dynamodb", "eventVersion": "1.1",
				"dynamodb": map[string]any{
					"ApproximateCreationDateTime": at.Unix(), "Keys": keys, "SequenceNumber": r.sequence, "SizeBytes": 26, "StreamViewType": "NEW_IMAGE",
					"NewImage": map[string]any{"id": map[string]string{"S": key}, "data": map[string]string{"S": d}},
				},
			}
		}
		for _, sh := range st.shards {
			if h := hashOf(key); !sh.closed && sh.from <= h && h < sh.to {
				sh.records = append(sh.records, r)
			}
		}
	}
}

func hashOf(key string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(key))
	return h.Sum32() % hashMax
}

// Split halves every open shard; Merge makes one of all.
func (s *Server) Split(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[arn]
	for _, sh := range append([]*shard(nil), st.shards...) {
		if !sh.closed {
			half := (sh.from + sh.to) / 2
			s.shard(st, sh.from, half, sh)
			s.shard(st, half, sh.to, sh)
		}
	}
}

// Merge makes one shard of the first two that are open and adjacent.
func (s *Server) Merge(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[arn]
	for _, a := range append([]*shard(nil), st.shards...) {
		for _, b := range append([]*shard(nil), st.shards...) {
			if !a.closed && !b.closed && a.to == b.from {
				s.shard(st, a.from, b.to, a, b)
				return
			}
		}
	}
	s.t.Error("no two shards to merge")
}

// Trim drops all records that are there.
func (s *Server) Trim(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.streams[arn].shards {
		sh.trimmed = len(sh.records)
	}
}

// Forget drops shards that are closed, with all that they hold.
func (s *Server) Forget(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[arn]
	var kept []*shard
	for _, sh := range st.shards {
		if !sh.closed {
			kept = append(kept, sh)
		}
	}
	st.shards = kept
}

// Expire makes all iterators too old.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
}

// Fail answers the next calls with these faults.
func (s *Server) Fail(codes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, codes...)
}

// Calls is how often an operation was called.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

type object = map[string]any

// ServeHTTP answers in AWS's JSON protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := object{}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	target, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[operation]++
	signed := map[string]string{"Kinesis_20131202": "/us-east-1/kinesis/aws4_request", "DynamoDBStreams_20120810": "/us-east-1/dynamodb/aws4_request"}[target]
	out, fault := object(nil), ""
	switch {
	case signed == "" || !strings.Contains(r.Header.Get("Authorization"), signed):
		fault = "InvalidSignatureException"
	case len(s.faults) > 0 && strings.HasPrefix(operation, "Get"):
		fault, s.faults = s.faults[0], s.faults[1:]
	default:
		out, fault = s.answer(operation, in)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if fault != "" {
		w.WriteHeader(http.StatusBadRequest)
		out = object{"__type": "com.amazonaws.kinesis.v20131202#" + fault, "message": "as asked for"}
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		s.t.Log(err)
	}
}

func text(in object, name string) string {
	v, _ := in[name].(string)
	return v
}

func (s *Server) answer(operation string, in object) (object, string) {
	if operation == "GetRecords" {
		return s.records(in)
	}
	arn, after := text(in, "StreamARN")+text(in, "StreamArn"), text(in, "ExclusiveStartShardId")
	if token := text(in, "NextToken"); token != "" {
		arn, after, _ = strings.Cut(token, "|")
	}
	st := s.streams[arn]
	if st == nil {
		return nil, "ResourceNotFoundException"
	}
	switch operation {
	case "GetShardIterator":
		return s.iterator(st, in)
	case "ListShards":
		page, last := st.page(after)
		out := object{"Shards": page}
		if last != "" {
			out["NextToken"] = arn + "|" + last
		}
		return out, ""
	case "DescribeStream":
		about := object{"StreamARN": arn, "RetentionPeriodHours": 24}
		if st.table {
			page, last := st.page(after)
			about["Shards"] = page
			if last != "" {
				about["LastEvaluatedShardId"] = last
			}
		}
		return object{"StreamDescription": about}, ""
	}
	return nil, "UnknownOperationException"
}

func (st *stream) page(after string) (page []object, last string) {
	page = []object{}
	for _, sh := range st.shards {
		if sh.id <= after {
			continue
		}
		if len(page) == pageMax {
			return page, last
		}
		last = sh.id
		numbers := object{"StartingSequenceNumber": "1"}
		if sh.closed {
			numbers["EndingSequenceNumber"] = "2"
		}
		entry := object{"ShardId": sh.id, "SequenceNumberRange": numbers}
		if len(sh.parents) > 0 {
			entry["ParentShardId"] = sh.parents[0]
		}
		if len(sh.parents) > 1 {
			entry["AdjacentParentShardId"] = sh.parents[1]
		}
		page = append(page, entry)
	}
	return page, ""
}

func (s *Server) iterator(st *stream, in object) (object, string) {
	for _, sh := range st.shards {
		if sh.id != text(in, "ShardId") {
			continue
		}
		at := sh.trimmed
		switch text(in, "ShardIteratorType") {
		case "LATEST":
			at = len(sh.records)
		case "AFTER_SEQUENCE_NUMBER":
			after := text(in, "StartingSequenceNumber") + text(in, "SequenceNumber")
			for at = 0; at < len(sh.records) && sh.records[at].sequence <= after; at++ {
			}
			if st.table && at < sh.trimmed {
				return nil, "TrimmedDataAccessException"
			}
			at = max(at, sh.trimmed)
		case "AT_TIMESTAMP":
			since, _ := in["Timestamp"].(float64)
			for at < len(sh.records) && float64(sh.records[at].at.UnixMilli())/1000 < since {
				at++
			}
			if st.table {
				return nil, "ValidationException"
			}
		case "TRIM_HORIZON":
		default:
			return nil, "ValidationException"
		}
		return object{"ShardIterator": s.position(st, sh, at)}, ""
	}
	return nil, "ResourceNotFoundException"
}

func (s *Server) position(st *stream, sh *shard, at int) string {
	return fmt.Sprintf("%s|%s|%d|%d", st.arn, sh.id, at, s.generation)
}

func (s *Server) records(in object) (object, string) {
	parts := strings.Split(text(in, "ShardIterator"), "|")
	if len(parts) != 4 || s.streams[parts[0]] == nil {
		return nil, "ResourceNotFoundException"
	}
	st, at, generation := s.streams[parts[0]], 0, 0
	if _, err := fmt.Sscan(parts[2], &at); err != nil {
		return nil, "ValidationException"
	}
	if _, err := fmt.Sscan(parts[3], &generation); err != nil || generation < s.generation {
		return nil, "ExpiredIteratorException"
	}
	limit, _ := in["Limit"].(float64)
	for _, sh := range st.shards {
		if sh.id != parts[1] {
			continue
		}
		at = max(at, sh.trimmed)
		end := min(len(sh.records), at+int(limit))
		records := []object{}
		for _, r := range sh.records[at:end] {
			if st.table {
				records = append(records, r.change)
				continue
			}
			records = append(records, object{"Data": r.data, "PartitionKey": r.key, "SequenceNumber": r.sequence, "ApproximateArrivalTimestamp": float64(r.at.UnixMilli()) / 1000})
		}
		out := object{"Records": records, "NextShardIterator": s.position(st, sh, end)}
		if !st.table {
			out["MillisBehindLatest"] = len(sh.records) - end
		}
		if sh.closed && end == len(sh.records) {
			delete(out, "NextShardIterator")
		}
		return out, ""
	}
	return nil, "ResourceNotFoundException"
}

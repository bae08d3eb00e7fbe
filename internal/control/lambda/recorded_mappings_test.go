package lambda

import (
	"encoding/json"
	"testing"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/test/recorded"
)

const ofDynamoDB = "an answer of DynamoDB"

var mappingExceptions = []recorded.Exception{
	{Case: "test_create_event_source_self_managed", Label: "duplicate-source", Reason: "Kafka is not polled: such sources are refused"},
	{Case: "test_create_event_source_self_managed", Label: "event-source-mapping", Reason: "Kafka is not polled: such sources are refused"},
	{Case: "test_event_source_mapping_lifecycle", Label: "update_table_response", Reason: ofDynamoDB},
	{Case: "lambda_integration_dynamodbstreams", Label: "table", Reason: ofDynamoDB},
	{Case: "date_time_conversion", Label: "create_event_source_mapping_response", Reason: "the recorder left out the filter"},
}

func TestRecordedMappings(t *testing.T) {
	playRecorded(t, "Lambda, event source mappings", "recorded-mappings.json", mappingExceptions, mappingScenarios)
}

const (
	createMapping = "CreateEventSourceMapping"
	updateMapping = "UpdateEventSourceMapping"
	getMapping    = "GetEventSourceMapping"
	deleteMapping = "DeleteEventSourceMapping"
)

// map makes a mapping of the recorded function.
func (r *recording) mapSource(source string, change object) object {
	return r.ask(createMapping, merged(object{"FunctionName": recordedFunction, "EventSourceArn": source}, change))
}

// mapTable makes a mapping of a table's stream as the recorder did.
func (r *recording) mapTable(change object) object {
	return r.mapSource(testTable, merged(object{"StartingPosition": "TRIM_HORIZON"}, change))
}

// failingTo makes one whose failures go to a destination.
func (r *recording) failingTo(destination string) {
	r.make(nil)
	r.match("create_event_source_mapping_response", r.mapTable(object{
		"BatchSize": 1, "MaximumBatchingWindowInSeconds": 1, "MaximumRetryAttempts": 1, "DestinationConfig": object{"OnFailure": object{"Destination": destination}},
	}))
}

// filtered makes mappings with a filter as answered.
func (r *recording) filtered(label string) {
	r.make(nil)
	criteria := r.Answers[label].(object)["FilterCriteria"].(object)
	r.match(label, takenApart(r.T, r.mapSource(testQueue, object{"MaximumBatchingWindowInSeconds": 1, "FilterCriteria": asSent(r.T, criteria)})))
}

var mappingScenarios = map[string]scenario{
	"TestDynamoDBEventSourceMapping::test_deletion_event_source_mapping_with_dynamodb": func(r *recording, _ string) {
		r.make(nil)
		r.match("create_event_source_mapping_result", r.mapTable(nil))
		r.settleAllMappings()
		r.match("list_event_source_mapping_result", r.ask("ListEventSourceMappings", object{"EventSourceArn": testTable}))
	},
	"TestDynamoDBEventSourceMapping::test_disabled_dynamodb_event_source_mapping": func(r *recording, _ string) {
		r.make(nil)
		made := r.mapTable(object{"MaximumBatchingWindowInSeconds": 1})
		r.match("create_event_source_mapping_result", made)
		r.settleAllMappings()
		uuid, _ := made["UUID"].(string)
		r.processed(uuid, "OK")
		r.match("update_event_source_mapping_result", r.ask(updateMapping, object{"UUID": uuid, "Enabled": false}))
	},
	"TestDynamoDBEventSourceMapping::test_dynamodb_event_filter": func(r *recording, parameter string) {
		if parameter == "date_time_conversion" {
			return
		}
		const label = "create_event_source_mapping_response"
		r.make(nil)
		criteria := r.Answers[label].(object)["FilterCriteria"].(object)
		r.match(label, takenApart(r.T, r.mapTable(object{
			"BatchSize": 1, "MaximumBatchingWindowInSeconds": 1, "MaximumRetryAttempts": 1, "FilterCriteria": asSent(r.T, criteria),
		})))
	},
	"TestDynamoDBEventSourceMapping::test_dynamodb_invalid_event_filter": func(r *recording, parameter string) {
		r.make(nil)
		r.match("exception_event_source_creation", r.mapTable(object{"FilterCriteria": object{"Filters": []object{{"Pattern": parameter}}}}))
	},
	"TestDynamoDBEventSourceMapping::test_dynamodb_event_source_mapping_with_sns_on_failure_destination_config": func(r *recording, _ string) {
		r.failingTo("arn:aws:sns:us-east-1:111111111111:topic")
	},
	"TestDynamoDBEventSourceMapping::test_dynamodb_event_source_mapping_with_s3_on_failure_destination": func(r *recording, _ string) {
		r.failingTo("arn:aws:s3:::bucket")
	},
	"TestDynamoDBEventSourceMapping::test_dynamodb_report_batch_item_failures": func(r *recording, _ string) {
		r.make(nil)
		r.match("create_event_source_mapping_response", r.mapTable(object{
			"BatchSize": 3, "MaximumBatchingWindowInSeconds": 1, "MaximumRetryAttempts": 3, "FunctionResponseTypes": []string{"ReportBatchItemFailures"},
			"DestinationConfig": object{"OnFailure": object{"Destination": testQueue}},
		}))
	},
	"TestLambdaEventSourceMappings::test_create_event_filter_criteria_validation": func(r *recording, _ string) {
		r.make(nil)
		r.match("response-with-empty-filters", r.mapSource(testTable, object{"StartingPosition": "LATEST", "FilterCriteria": object{"Filters": []object{}}}))
	},
	"TestLambdaEventSourceMappings::test_create_event_source_self_managed": func(r *recording, _ string) {
		r.make(nil)
		r.match("missing-source-access-configuration", r.ask(createMapping, object{
			"FunctionName": recordedFunction, "Topics": []string{"topic"}, "SelfManagedEventSource": object{"Endpoints": object{"KAFKA_BOOTSTRAP_SERVERS": []string{"kafka:1000"}}},
		}))
	},
	"TestLambdaEventSourceMappings::test_create_event_source_validation": func(r *recording, _ string) {
		r.make(nil)
		r.match("no_starting_position", r.mapSource(testTable, nil))
		r.match("invalid_starting_position", r.mapSource(testTable, object{"StartingPosition": "invalid"}))
		r.match("incompatible_starting_position", r.mapSource(testTable, object{"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1741010802}))
	},
	"TestLambdaEventSourceMappings::test_create_event_source_validation_kinesis": func(r *recording, _ string) {
		r.make(nil)
		r.match("no_starting_position", r.mapSource(testData, nil))
		r.match("invalid_starting_position", r.mapSource(testData, object{"StartingPosition": "invalid"}))
	},
	"TestLambdaEventSourceMappings::test_event_source_mapping_exceptions": func(r *recording, _ string) {
		const unknown = "b5ac14e2-7f4b-4ac2-9a0d-0c1d1e8d6c6a"
		r.match("get_unknown_uuid", r.ask(getMapping, object{"UUID": unknown}))
		r.match("delete_unknown_uuid", r.ask(deleteMapping, object{"UUID": unknown}))
		r.match("update_unknown_uuid", r.ask(updateMapping, object{"UUID": unknown, "Enabled": false}))
		r.match("create_no_event_source_arn", r.ask(createMapping, object{"FunctionName": "doesnotexist"}))
		r.match("create_unknown_params", r.ask(createMapping, object{"FunctionName": "doesnotexist", "EventSourceArn": testQueue}))
		r.make(nil)
		r.match("destination_config_failure", r.mapSource(testQueue, object{"DestinationConfig": object{"OnFailure": object{"Destination": testQueue}}}))
	},
	"TestLambdaEventSourceMappings::test_event_source_mapping_lifecycle": func(r *recording, _ string) {
		r.make(nil)
		made := r.mapSource(testTable, object{
			"StartingPosition": "TRIM_HORIZON", "BatchSize": 1, "MaximumBatchingWindowInSeconds": 1, "MaximumRetryAttempts": 1,
			"DestinationConfig": object{"OnFailure": object{"Destination": testQueue}},
		})
		r.match("create_response", made)
		r.settleAllMappings()
		r.match("get_response", r.ask(getMapping, object{"UUID": made["UUID"]}))
		r.match("delete_response", r.ask(deleteMapping, object{"UUID": made["UUID"]}))
	},
	"TestLambdaTag::test_tag_lifecycle": func(r *recording, _ string) {
		r.make(nil)
		arn := r.mapSource(testQueue, nil)["EventSourceMappingArn"]
		step := func(label, operation string, params object) {
			r.match(label, r.ask(operation, merged(object{"Resource": arn}, params)))
			r.match(label+"_listtags", r.ask("ListTags", object{"Resource": arn}))
		}
		tags := func(t object) object { return object{"Tags": t} }
		step("tag_single_response", "TagResource", tags(object{"A": "tag-a"}))
		step("tag_multiple_response", "TagResource", tags(object{"B": "tag-b", "C": "tag-c"}))
		step("tag_overlap_response", "TagResource", tags(object{"C": "tag-c-newsuffix", "D": "tag-d"}))
		keys := func(k ...string) object { return object{"TagKeys": k} }
		step("untag_single_response", "UntagResource", keys("A"))
		step("untag_multiple_response", "UntagResource", keys("B", "C"))
		step("untag_nonexisting_response", "UntagResource", keys("F"))
		step("untag_existing_and_nonexisting_response", "UntagResource", keys("D", "F"))
	},
	"TestSQSEventSourceMapping::test_duplicate_event_source_mappings": func(r *recording, _ string) {
		r.make(nil)
		r.match("create", r.mapSource(testQueue, nil))
		r.match("error", r.mapSource(testQueue, nil))
	},
	"TestSQSEventSourceMapping::test_sqs_event_filter": func(r *recording, _ string) {
		r.filtered("create_event_source_mapping_response")
	},
	"TestSQSEventSourceMapping::test_sqs_invalid_event_filter": func(r *recording, parameter string) {
		pattern := map[string]string{
			"None": "null", "simple string": "simple string", "invalid_filter2": `{"eventSource":"aws:sqs"}`, "invalid_filter3": `{"eventSource":[]}`,
		}[parameter]
		r.make(nil)
		r.match("create_event_source_mapping_exception", r.mapSource(testQueue, object{"MaximumBatchingWindowInSeconds": 1, "FilterCriteria": object{"Filters": []object{{"Pattern": pattern}}}}))
	},
	"TestSQSEventSourceMapping::test_sqs_event_source_mapping_batch_size": func(r *recording, _ string) {
		r.make(nil)
		for label, answer := range r.Answers {
			if body, ok := answer.(object); ok && body["BatchSize"] != nil {
				got := r.mapSource(testQueue, object{"BatchSize": body["BatchSize"], "MaximumBatchingWindowInSeconds": 10})
				if got["MaximumBatchingWindowInSeconds"] == 10.0 { // which the recorder left out
					got["MaximumBatchingWindowInSeconds"] = body["MaximumBatchingWindowInSeconds"]
				}
				r.match(label, got)
			}
		}
	},
	"TestSQSEventSourceMapping::test_sqs_event_source_mapping_batching_reserved_concurrency": func(r *recording, _ string) {
		r.make(nil)
		r.match("put_concurrency_resp", r.get("PutFunctionConcurrency", object{"ReservedConcurrentExecutions": 2}))
		for label, answer := range r.Answers {
			if body, ok := answer.(object); ok && body["BatchSize"] != nil {
				r.match(label, r.mapSource(testQueue, object{
					"BatchSize": body["BatchSize"], "MaximumBatchingWindowInSeconds": body["MaximumBatchingWindowInSeconds"], "ScalingConfig": body["ScalingConfig"],
				}))
			}
		}
	},
	"TestSQSEventSourceMapping::test_sqs_event_source_mapping_update": func(r *recording, _ string) {
		r.make(nil)
		r.get("PublishVersion", nil)
		made := r.mapSource(testQueue, object{"MaximumBatchingWindowInSeconds": 1, "FunctionName": arnOf(recordedFunction) + ":1"})
		r.match("create-event-source-mapping-response", made)
		r.settleAllMappings()
		r.get("UpdateFunctionConfiguration", object{"Description": "2"})
		r.settleAll()
		r.get("PublishVersion", nil)
		r.match("updated_esm", r.ask(updateMapping, object{"UUID": made["UUID"], "FunctionName": arnOf(recordedFunction) + ":2"}))
		r.settleAllMappings()
		r.match("updated_event_source_mapping", r.ask(getMapping, object{"UUID": made["UUID"]}))
	},
	"test_esm_with_not_existing_sqs_queue": func(r *recording, _ string) {
		r.make(nil)
		r.match("error", r.mapSource("arn:aws:sqs:us-east-1:111111111111:gone", nil))
	},
	"test_failing_lambda_retries_after_visibility_timeout": func(r *recording, _ string) {
		r.make(nil)
		made := r.mapSource(testQueue, object{"BatchSize": 1})
		r.settleAllMappings()
		r.match("event_source_mapping", r.ask(getMapping, object{"UUID": made["UUID"]}))
	},
	"test_fifo_message_group_parallelism": func(r *recording, _ string) {
		r.make(nil)
		made := r.mapSource(testFIFO, object{"BatchSize": 1, "Enabled": false})
		r.match("create_esm_disabled", made)
		r.match("update_esm_enabling", r.ask(updateMapping, object{"UUID": made["UUID"], "Enabled": true}))
		r.settleAllMappings()
		r.match("get_esm_enabled", r.ask(getMapping, object{"UUID": made["UUID"]}))
	},
	"test_report_batch_item_failures": func(r *recording, _ string) {
		r.make(nil)
		r.match("create_event_source_mapping", r.mapSource(testFIFO, object{"FunctionResponseTypes": []string{"ReportBatchItemFailures"}}))
	},
}

// processed notes what came of a stream's last batch, as its poller does.
func (r *recording) processed(uuid, result string) {
	r.T.Helper()
	key := record.Scoped{Scope: record.Scope{Account: testAccount, Region: testRegion}, Name: uuid}
	put, err := record.StreamProgresses.Put(key, &record.StreamProgress{Result: result}, store.Unconditional())
	if err != nil {
		r.T.Fatal(err)
	}
	if _, err := r.store.Commit(r.T.Context(), put); err != nil {
		r.T.Fatal(err)
	}
}

// asSent writes the patterns of criteria as text again, which the recorder took apart.
func asSent(t *testing.T, criteria object) object {
	t.Helper()
	var filters []object
	for _, f := range criteria["Filters"].([]any) {
		text, err := json.Marshal(f.(object)["Pattern"])
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, object{"Pattern": string(text)})
	}
	return object{"Filters": filters}
}

// takenApart is an answer with its patterns as the recorder has them.
func takenApart(t *testing.T, answer object) object {
	t.Helper()
	criteria, ok := answer["FilterCriteria"].(object)
	if !ok {
		return answer
	}
	for _, f := range criteria["Filters"].([]any) {
		var pattern any
		if err := json.Unmarshal([]byte(f.(object)["Pattern"].(string)), &pattern); err != nil {
			t.Fatal(err)
		}
		f.(object)["Pattern"] = pattern
	}
	return answer
}

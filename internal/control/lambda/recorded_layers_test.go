package lambda

import (
	"testing"

	"github.com/lambdad/lambdad/test/recorded"
)

func TestRecordedLayers(t *testing.T) {
	playRecorded(t, "Lambda, layers", "recorded-layers.json", []recorded.Exception{
		{Case: "test_layer_exceptions", Label: "compatibleruntime_invalid|invalid_runtime_arch|partially_invalid", Difference: `^Error\.Message:`, Reason: "the text lists other runtimes, and names one fault after the other"},
		{Case: "test_layer_s3_content", Reason: "there is no S3 yet to take content from"},
	}, layerScenarios)
}

const recordedLayer = "recorded-layer"

func (r *recording) layer(operation string, more object) object {
	return r.ask(operation, merged(object{"LayerName": recordedLayer}, more))
}

// compatibilities are those that the recorder published with, as the answers show them.
func compatibilities(r *recording, _ string) {
	want := r.Answers["publish_result"].(object)
	r.match("publish_result", r.layer("PublishLayerVersion", object{
		"Content":                 object{"ZipFile": zipOf(r.T, map[string]string{"hello.txt": "hello"})},
		"CompatibleRuntimes":      want["CompatibleRuntimes"],
		"CompatibleArchitectures": want["CompatibleArchitectures"],
	}))
}

var layerScenarios = map[string]scenario{
	"TestLambdaLayer::test_layer_compatibilities": compatibilities,
	"TestLambdaLayer::test_layer_exceptions": func(r *recording, _ string) {
		content := object{"Content": object{"ZipFile": zipOf(r.T, map[string]string{"hello.txt": "hello"})}}
		fits := object{"CompatibleRuntimes": []string{"python3.12"}, "CompatibleArchitectures": []string{"x86_64"}}
		r.match("publish_result", r.layer("PublishLayerVersion", merged(content, fits)))
		r.match("publish_empty_result", r.ask("PublishLayerVersion", merged(content, object{"LayerName": "other-layer", "CompatibleRuntimes": []string{}, "CompatibleArchitectures": []string{}})))
		r.match("publish_layer_version_exc_invalid_runtime_arch", r.layer("PublishLayerVersion", merged(content, object{"CompatibleRuntimes": []string{"invalidruntime"}, "CompatibleArchitectures": []string{"invalidarch"}})))
		r.match("publish_layer_version_exc_partially_invalid_values", r.layer("PublishLayerVersion", merged(content, object{"CompatibleRuntimes": []string{"invalidruntime", "invalidruntime2", "nodejs20.x"}, "CompatibleArchitectures": []string{"invalidarch", "x86_64"}})))
		r.match("list_layers_exc_compatibleruntime_invalid", r.ask("ListLayers", object{"CompatibleRuntime": "runtimedoesnotexist"}))
		r.match("list_layers_exc_compatiblearchitecture_invalid", r.ask("ListLayers", object{"CompatibleArchitecture": "archdoesnotexist"}))
		r.match("list_nonexistent_layer", r.ask("ListLayerVersions", object{"LayerName": "layer-does-not-exist"}))
		r.match("get_layer_version_exc_layer_doesnotexist", r.ask("GetLayerVersion", object{"LayerName": "layer-does-not-exist", "VersionNumber": 1}))
		r.match("get_layer_version_exc_layer_version_doesnotexist_negative", r.layer("GetLayerVersion", object{"VersionNumber": -1}))
		r.match("get_layer_version_exc_layer_version_doesnotexist_zero", r.layer("GetLayerVersion", object{"VersionNumber": 0}))
		r.match("get_layer_version_exc_layer_version_doesnotexist_2", r.layer("GetLayerVersion", object{"VersionNumber": 2}))
		arn := "arn:aws:lambda:" + testRegion + ":" + testAccount + ":layer:" + recordedLayer
		r.match("get_layer_version_by_arn_exc_invalidarn", r.ask("GetLayerVersionByArn", object{"Arn": arn}))
		r.match("get_layer_version_by_arn_exc_nonexistentversion", r.ask("GetLayerVersionByArn", object{"Arn": arn + ":2"}))
		r.match("delete_nonexistent_response", r.ask("DeleteLayerVersion", object{"LayerName": "layer-does-not-exist", "VersionNumber": 1}))
		r.match("delete_nonexistent_version_response", r.layer("DeleteLayerVersion", object{"VersionNumber": 2}))
		r.match("delete_layer_response", r.layer("DeleteLayerVersion", object{"VersionNumber": 1}))
		r.match("delete_layer_again_response", r.layer("DeleteLayerVersion", object{"VersionNumber": 1}))
		r.match("delete_layer_version_exc_layerversion_invalid_version", r.layer("DeleteLayerVersion", object{"VersionNumber": -1}))
	},
}

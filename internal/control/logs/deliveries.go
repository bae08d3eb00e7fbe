package logs

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// A delivery brings the logs of another service's resource (CloudFront, Bedrock, ...) to a destination. No such service is
// here: a source is refused as AWS refuses one that it cannot reach, and everything else answers as it
// does to an account that has none. The texts are recorded.

func noDeliverySource() error {
	return api.NewResourceNotFoundException("Requested Delivery Source does not exist in this account.")
}

func noDeliveryDestination() error {
	return api.NewResourceNotFoundException("Requested Delivery Destination does not exist in this account.")
}

func noDelivery() error {
	return api.NewResourceNotFoundException("Requested Delivery does not exist in this account.")
}

func putDeliverySource(context.Context, *wire.Call, *api.PutDeliverySourceRequest) (*api.PutDeliverySourceResponse, error) {
	return nil, api.NewResourceNotFoundException("Cannot access provided service.")
}

func getDeliverySource(context.Context, *wire.Call, *api.GetDeliverySourceRequest) (*api.GetDeliverySourceResponse, error) {
	return nil, noDeliverySource()
}

func deleteDeliverySource(context.Context, *wire.Call, *api.DeleteDeliverySourceRequest) error {
	return noDeliverySource()
}

func describeDeliverySources(_ context.Context, _ *wire.Call, in *api.DescribeDeliverySourcesRequest) (*api.DescribeDeliverySourcesResponse, error) {
	return &api.DescribeDeliverySourcesResponse{DeliverySources: []api.DeliverySource{}}, noToken(in.NextToken)
}

func getDeliveryDestination(context.Context, *wire.Call, *api.GetDeliveryDestinationRequest) (*api.GetDeliveryDestinationResponse, error) {
	return nil, noDeliveryDestination()
}

func getDeliveryDestinationPolicy(context.Context, *wire.Call, *api.GetDeliveryDestinationPolicyRequest) (*api.GetDeliveryDestinationPolicyResponse, error) {
	return nil, noDeliveryDestination()
}

func putDeliveryDestinationPolicy(context.Context, *wire.Call, *api.PutDeliveryDestinationPolicyRequest) (*api.PutDeliveryDestinationPolicyResponse, error) {
	return nil, noDeliveryDestination()
}

func deleteDeliveryDestination(context.Context, *wire.Call, *api.DeleteDeliveryDestinationRequest) error {
	return noDeliveryDestination()
}

func deleteDeliveryDestinationPolicy(context.Context, *wire.Call, *api.DeleteDeliveryDestinationPolicyRequest) error {
	return noDeliveryDestination()
}

func describeDeliveryDestinations(_ context.Context, _ *wire.Call, in *api.DescribeDeliveryDestinationsRequest) (*api.DescribeDeliveryDestinationsResponse, error) {
	return &api.DescribeDeliveryDestinationsResponse{DeliveryDestinations: []api.DeliveryDestination{}}, noToken(in.NextToken)
}

func createDelivery(context.Context, *wire.Call, *api.CreateDeliveryRequest) (*api.CreateDeliveryResponse, error) {
	return nil, noDeliverySource()
}

func getDelivery(context.Context, *wire.Call, *api.GetDeliveryRequest) (*api.GetDeliveryResponse, error) {
	return nil, noDelivery()
}

func updateDeliveryConfiguration(context.Context, *wire.Call, *api.UpdateDeliveryConfigurationRequest) (*api.UpdateDeliveryConfigurationResponse, error) {
	return nil, noDelivery()
}

func deleteDelivery(context.Context, *wire.Call, *api.DeleteDeliveryRequest) error {
	return noDelivery()
}

func describeDeliveries(_ context.Context, _ *wire.Call, in *api.DescribeDeliveriesRequest) (*api.DescribeDeliveriesResponse, error) {
	return &api.DescribeDeliveriesResponse{Deliveries: []api.Delivery{}}, noToken(in.NextToken)
}

// noToken refuses a token: a list that has no second page has given none out.
func noToken(token *string) error {
	if token != nil {
		return invalid(badToken)
	}
	return nil
}

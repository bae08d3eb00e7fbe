package com.amazonaws.services.lambda.runtime;

/** The Amazon Cognito identity that invoked. */
public interface CognitoIdentity {
    String getIdentityId();

    String getIdentityPoolId();
}

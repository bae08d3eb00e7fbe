package com.amazonaws.services.lambda.crac;

/** What must act before a snapshot is taken of the machine, and after it was restored. */
public interface Resource {
    void beforeCheckpoint(Context<? extends Resource> context) throws Exception;

    void afterRestore(Context<? extends Resource> context) throws Exception;
}

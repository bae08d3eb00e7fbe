package com.amazonaws.services.lambda.crac;

/**
 * The implementation that org.crac finds by the property org.crac.Core.Compat. The package
 * has the name of AWS's, since functions may name it.
 */
public final class Core {
    private static final Context<Resource> GLOBAL = new Registered();

    private Core() {}

    public static Context<Resource> getGlobalContext() {
        return GLOBAL;
    }

    /** A function does not choose the moment. */
    public static void checkpointRestore() throws CheckpointException, RestoreException {
        throw new UnsupportedOperationException();
    }
}

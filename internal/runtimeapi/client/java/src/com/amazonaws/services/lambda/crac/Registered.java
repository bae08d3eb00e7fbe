package com.amazonaws.services.lambda.crac;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;

/**
 * The resources that functions register, in their order. They are held weakly, as the
 * specification of CRaC has it: who registers one keeps it.
 */
final class Registered extends Context<Resource> {
    private final List<WeakReference<Resource>> resources = new ArrayList<WeakReference<Resource>>();

    @Override
    public synchronized void register(Resource resource) {
        resources.add(new WeakReference<Resource>(resource));
    }

    /** The last one comes first. */
    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
        CheckpointException failed = new CheckpointException();
        List<Resource> all = living();
        for (int i = all.size() - 1; i >= 0; i--) {
            try {
                all.get(i).beforeCheckpoint(this);
            } catch (Exception e) {
                add(failed, e, e instanceof CheckpointException);
            }
        }
        if (failed.getSuppressed().length > 0) {
            throw failed;
        }
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws RestoreException {
        RestoreException failed = new RestoreException();
        for (Resource resource : living()) {
            try {
                resource.afterRestore(this);
            } catch (Exception e) {
                add(failed, e, e instanceof RestoreException);
            }
        }
        if (failed.getSuppressed().length > 0) {
            throw failed;
        }
    }

    /** A context of a resource's own has gathered what its resources threw. */
    private static void add(Exception to, Exception thrown, boolean gathered) {
        if (!gathered || thrown.getSuppressed().length == 0) {
            to.addSuppressed(thrown);
            return;
        }
        for (Throwable t : thrown.getSuppressed()) {
            to.addSuppressed(t);
        }
    }

    private synchronized List<Resource> living() {
        List<Resource> all = new ArrayList<Resource>();
        for (WeakReference<Resource> reference : resources) {
            Resource resource = reference.get();
            if (resource != null) {
                all.add(resource);
            }
        }
        return all;
    }
}

package example;

public class Failing {
    public Failing() {
        throw new RuntimeException("Runtime startup fails");
    }

    public Object h(Object event) {
        return event;
    }
}

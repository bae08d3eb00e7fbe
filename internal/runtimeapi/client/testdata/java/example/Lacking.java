package example;

public class Lacking {
    public static class Gone {} // its class file is removed by the test

    private final Gone gone = new Gone();

    public Object h(Object event) {
        return gone;
    }
}

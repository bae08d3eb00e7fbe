package example;

public class Static {
    static final int VALUE = Integer.parseInt("no number");

    public Object h(Object event) {
        return VALUE;
    }
}

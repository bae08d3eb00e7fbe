def h(event, context:

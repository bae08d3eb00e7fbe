def h(event:, context:

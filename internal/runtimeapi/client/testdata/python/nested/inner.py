def h(event, context):
    return "inner"

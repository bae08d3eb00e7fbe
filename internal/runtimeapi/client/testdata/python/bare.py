def h(event, context):
    import sys
    return [m for m in event if m in sys.modules]

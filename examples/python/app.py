"""The smallest useful function: greets, and counts the invokes of its environment."""

count = 0


def handler(event, context):
    global count
    count += 1
    return {
        "greeting": f"Hello, {event.get('name', 'world')}, from Python",
        "invokes": count,
        "remaining_ms": context.get_remaining_time_in_millis(),
    }

import snapshot_restore_py


@snapshot_restore_py.register_before_snapshot
def refuse():
    raise ValueError("refused")


def handler(event, context):
    pass

import snapshot_restore_py


@snapshot_restore_py.register_after_restore
def refuse():
    raise ValueError("refused")


def handler(event, context):
    pass

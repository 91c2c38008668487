"""SparkPost's read APIs over the event store, so that programs made for SparkPost can read it.

`docs/sparkpost-api.md` says what is answered, and what each number means where mail is relayed.
"""

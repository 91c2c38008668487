"""Other people's ways to rewrite a mail beside ours: what they do to it, how long they take."""

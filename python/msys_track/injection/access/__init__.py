"""Who may send: networks and users, what each of them may do, and who a client is."""

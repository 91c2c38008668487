"""The keys of a configuration file: what each sets, what it may hold, what it is for."""

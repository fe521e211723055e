"""The console of mailquota: always a client of an engine, embedded or attached."""

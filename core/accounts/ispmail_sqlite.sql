-- The tables of the ISPmail tutorial, for SQLite. quota is in bytes, 0 is unlimited.
CREATE TABLE virtual_domains (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE
);

CREATE TABLE virtual_users (
  id INTEGER PRIMARY KEY,
  domain_id INTEGER NOT NULL REFERENCES virtual_domains (id) ON DELETE CASCADE,
  email TEXT NOT NULL UNIQUE COLLATE NOCASE,
  password TEXT NOT NULL DEFAULT '',
  quota INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE virtual_aliases (
  id INTEGER PRIMARY KEY,
  domain_id INTEGER NOT NULL REFERENCES virtual_domains (id) ON DELETE CASCADE,
  source TEXT NOT NULL COLLATE NOCASE,
  destination TEXT NOT NULL
);

CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,             -- seconds since the epoch
    operator TEXT NOT NULL,
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,           -- limit, recalc, trash
    address TEXT NOT NULL,
    old TEXT,
    new TEXT,
    reason TEXT NOT NULL DEFAULT '',
    until REAL,
    undoes INTEGER REFERENCES journal (id)
);
CREATE INDEX journal_address ON journal (address, id);

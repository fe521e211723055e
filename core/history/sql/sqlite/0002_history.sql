CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: samples of a removed account may be left for a while
    address TEXT NOT NULL UNIQUE,
    gone_at REAL,                          -- seconds since the epoch; NULL while it is there
    jumped_at REAL NOT NULL DEFAULT 0      -- when a sudden jump was last noted
);
CREATE INDEX account_gone ON account (gone_at) WHERE gone_at IS NOT NULL;
CREATE TABLE latest (                      -- the figures that were written last
    account INTEGER PRIMARY KEY,
    used INTEGER NOT NULL,                 -- bytes
    messages INTEGER NOT NULL,
    changed_at REAL NOT NULL
);
CREATE TABLE trend (
    account INTEGER PRIMARY KEY,
    growth INTEGER,                        -- bytes a day; NULL: the history is too short
    low INTEGER,
    high INTEGER,
    week TEXT NOT NULL,
    reckoned_at REAL NOT NULL
);
CREATE TABLE slot (                        -- those that sample has rows of
    slot INTEGER PRIMARY KEY               -- quarter hours since the epoch
);
CREATE TABLE sample (
    slot INTEGER NOT NULL,
    account INTEGER NOT NULL,
    used INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (slot, account)
) WITHOUT ROWID;

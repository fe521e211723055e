CREATE TABLE IF NOT EXISTS account (
    id INTEGER UNSIGNED PRIMARY KEY AUTO_INCREMENT,
    address VARCHAR(320) NOT NULL UNIQUE,
    gone_at DOUBLE,                        -- seconds since the epoch; NULL while it is there
    jumped_at DOUBLE NOT NULL DEFAULT 0,   -- when a sudden jump was last noted
    KEY account_gone (gone_at)
) ENGINE InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS latest (
    account INTEGER UNSIGNED PRIMARY KEY,
    used BIGINT NOT NULL,                  -- bytes
    messages INTEGER NOT NULL,
    changed_at DOUBLE NOT NULL
) ENGINE InnoDB;
CREATE TABLE IF NOT EXISTS trend (
    account INTEGER UNSIGNED PRIMARY KEY,
    growth BIGINT,                         -- bytes a day; NULL: the history is too short
    low BIGINT,
    high BIGINT,
    week VARCHAR(7) NOT NULL,
    reckoned_at DOUBLE NOT NULL
) ENGINE InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS slot (
    slot MEDIUMINT UNSIGNED PRIMARY KEY    -- quarter hours since the epoch
) ENGINE InnoDB;
CREATE TABLE IF NOT EXISTS sample (
    slot MEDIUMINT UNSIGNED NOT NULL,
    account INTEGER UNSIGNED NOT NULL,
    used BIGINT NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (slot, account)
) ENGINE InnoDB;

CREATE TABLE IF NOT EXISTS journal (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    at DOUBLE NOT NULL,           -- seconds since the epoch
    operator VARCHAR(255) NOT NULL,
    origin VARCHAR(255) NOT NULL,
    kind VARCHAR(32) NOT NULL,    -- limit, recalc, trash
    address VARCHAR(320) NOT NULL,
    old VARCHAR(255),
    new VARCHAR(255),
    reason TEXT NOT NULL,
    until DOUBLE,
    undoes BIGINT,
    KEY journal_address (address, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS told (
    address VARCHAR(320) NOT NULL PRIMARY KEY,
    percent DOUBLE NOT NULL,
    at DOUBLE NOT NULL,
    was_full BOOLEAN NOT NULL,
    room BOOLEAN NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS warning (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    at DOUBLE NOT NULL,
    address VARCHAR(320) NOT NULL,
    mark VARCHAR(32) NOT NULL,
    percent DOUBLE,
    used BIGINT,
    quota BIGINT,
    state VARCHAR(16) NOT NULL,
    source VARCHAR(16) NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try DOUBLE,
    sent_at DOUBLE,
    method VARCHAR(32),
    error TEXT,
    KEY warning_address (address, id),
    KEY warning_state (state, next_try),
    KEY warning_sent (sent_at),
    KEY warning_at (at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
